// The page's own script: suggested questions open the chat and ask, the snippet can be copied.
window.Parlour =
  window.Parlour ||
  ((...call) => {
    window.Parlour.q = window.Parlour.q || [];
    window.Parlour.q.push(call);
  });

function ask(question) {
  window.Parlour("open");
  window.Parlour("sendMessage", question);
}

async function copy(button) {
  const text = document.getElementById(button.dataset.copy).textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Press Ctrl+C";
    getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
  }
  setTimeout(() => {
    button.textContent = "Copy";
  }, 2000);
}

// The server's own address belongs into the line somebody copies.
const snippet = document.getElementById("snippet");
snippet.textContent = snippet.textContent.replace('src="/', `src="${location.origin}/`);

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.ask) ask(button.dataset.ask);
  else if ("open" in button.dataset) window.Parlour("open");
  else if (button.dataset.copy) copy(button);
});
