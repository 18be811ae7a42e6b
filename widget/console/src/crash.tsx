import { Component, type ReactNode } from "react";
import { Problem } from "./api";
import { Failure } from "./states";

interface Props {
  /** Where this is; going elsewhere is another try. */
  place: string;
  children: ReactNode;
}

/** Keeps a screen that breaks from taking the whole console along; edits in progress survive above it. */
export class CrashBarrier extends Component<Props, { readonly crashed: boolean }> {
  override state = { crashed: false };

  static getDerivedStateFromError(): { crashed: boolean } {
    return { crashed: true };
  }

  override componentDidUpdate(before: Props): void {
    if (this.state.crashed && before.place !== this.props.place) this.setState({ crashed: false });
  }

  override render(): ReactNode {
    if (!this.state.crashed) return this.props.children;
    const problem = new Problem(0, { title: "This screen has a problem.", detail: "Your unsaved changes are kept." });
    return <Failure failure={problem} retry={() => this.setState({ crashed: false })} />;
  }
}
