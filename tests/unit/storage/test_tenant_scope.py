"""Every query names its tenant: a check over the source of the storage room, and the proof that the check sees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

STORAGE = Path(__file__).parents[3] / "server" / "storage"
# Rooms below the tenant: credentials turn a secret into one, the others hold no query of a tenant's rows.
UNSCOPED_FILES = {"__init__.py", "credentials.py", "database.py", "migrate.py", "valkey.py"}
# Functions without a tenant, each with the reason for which it may be one.
ALLOWED = {
    "cursors.fetch_page": "its query arrives scoped, and is checked where it is made",
    "queues.tenants_with_work": "the sweep's first question is which tenants there are; it hands out ids only",
    "queues.indexed_bots": "compares SQL with the vector index over all tenants; it hands out ids and epochs only",
    "queues.open_queue": "opens connections",
    "queues.Queue.depth": "one number over all tenants, for the metrics",
    "queues.Queue.close": "closes connections",
    "tenants.check_password": "compares a hash with a password; it touches no table",
}
QUERIES = {"select", "update", "delete", "insert"}
SCOPES = {"tenant": "TenantId", "scope": "BotScope"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Module:
    """One source file, asked where a query forgets its tenant."""

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.tree = ast.parse(source)
        self.parents = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}
        self.functions = {node.name: node for node in ast.walk(self.tree) if isinstance(node, Function)}

    def faults(self) -> list[str]:
        """Every fault as text, with its line."""
        found = []
        for function, place in self._all_functions():
            if place in ALLOWED:
                continue
            if self._is_public(function) and not _takes_scope(function):
                found.append(f"{place}:{function.lineno} takes no `tenant: TenantId`")
            found += [f"{place}:{line} {fault}" for line, fault in self._unscoped(function)]
        return found

    def _all_functions(self) -> Iterator[tuple[Function, str]]:
        for node in self.tree.body:
            if isinstance(node, Function):
                yield node, f"{self.name}.{node.name}"
            elif isinstance(node, ast.ClassDef):
                for method in node.body:
                    if isinstance(method, Function):
                        yield method, f"{self.name}.{node.name}.{method.name}"

    def _is_public(self, function: Function) -> bool:
        owner = self.parents[function]
        hidden = isinstance(owner, ast.ClassDef) and owner.name.startswith("_")
        return isinstance(function, ast.AsyncFunctionDef) and not function.name.startswith("_") and not hidden

    def _unscoped(self, function: Function) -> Iterator[tuple[int, str]]:
        for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
            name = call.func.id if isinstance(call.func, ast.Name) else ""
            if name == "text":
                yield call.lineno, "is raw SQL"
            elif name in QUERIES and call.args and _names_a_table(call) and not self._query_is_scoped(call, function):
                yield call.lineno, f"{name} never mentions tenant_id"
            elif name.endswith("Row") and name != "TenantRow" and not _has_keyword(call, "tenant_id"):
                yield call.lineno, f"{name} is made without tenant_id"
            elif isinstance(call.func, ast.Attribute) and call.func.attr == "get" and _gets_a_row(call):
                yield call.lineno, "a row is read by its key alone"

    def _query_is_scoped(self, call: ast.Call, function: Function) -> bool:
        """Whether the query's whole expression, or a later one that goes on with it, names the tenant."""
        whole = self._outermost(call)
        if self._mentions(whole, function, set()):
            return True
        assigned = self.parents.get(whole)
        if not isinstance(assigned, ast.Assign) or not isinstance(assigned.targets[0], ast.Name):
            return False
        variable = assigned.targets[0].id
        uses = [node for node in ast.walk(function) if isinstance(node, ast.Name) and node.id == variable]
        return any(self._mentions(self._outermost(use), function, {variable}) for use in uses)

    def _outermost(self, node: ast.AST) -> ast.AST:
        while isinstance(self.parents.get(node), ast.expr | ast.keyword | ast.Starred):
            node = self.parents[node]
        return node

    def _mentions(self, node: ast.AST, function: Function, seen: set[str]) -> bool:
        """Whether code names the tenant: itself, by a local variable, or by a private helper of the same module."""
        for part in ast.walk(node):
            if isinstance(part, ast.Attribute) and part.attr == "tenant_id":
                return True
            if isinstance(part, ast.Compare) and ast.unparse(part) == "TenantRow.id == tenant":
                return True
            if isinstance(part, ast.Constant) and part.value == "tenant_id":
                return True
            if isinstance(part, ast.Name) and part.id not in seen and self._name_mentions(part, function, seen):
                return True
        return False

    def _name_mentions(self, name: ast.Name, function: Function, seen: set[str]) -> bool:
        seen = seen | {name.id}
        helper = self.functions.get(name.id)
        if helper is not None and name.id.startswith("_"):
            return any(self._mentions(statement, helper, seen) for statement in _code_of(helper))
        values = [
            node.value
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and any(_is_name(target, name.id) for target in node.targets)
        ]
        return any(self._mentions(value, function, seen) for value in values)


def _code_of(function: Function) -> list[ast.stmt]:
    return function.body[1:] if ast.get_docstring(function) else function.body


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _takes_scope(function: Function) -> bool:
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return any(
        argument.annotation is not None and ast.unparse(argument.annotation) == SCOPES.get(argument.arg)
        for argument in arguments
    )


def _names_a_table(call: ast.Call) -> bool:
    names = {node.id for argument in call.args for node in ast.walk(argument) if isinstance(node, ast.Name)}
    return any(name.endswith("Row") for name in names) or "func" in names


def _has_keyword(call: ast.Call, name: str) -> bool:
    return any(keyword.arg == name for keyword in call.keywords)


def _gets_a_row(call: ast.Call) -> bool:
    table = ast.unparse(call.args[0]) if call.args else ""
    whole = [ast.unparse(argument) for argument in call.args]
    return table.endswith("Row") and whole != ["TenantRow", "tenant"]


def _checked_files() -> list[Path]:
    return sorted(path for path in STORAGE.glob("*.py") if path.name not in UNSCOPED_FILES)


@pytest.mark.parametrize("path", _checked_files(), ids=lambda path: path.name)
def test_every_query_names_its_tenant(path: Path) -> None:
    assert Module(path.stem, path.read_text()).faults() == []


def test_the_allow_list_names_functions_that_exist() -> None:
    modules = [Module(path.stem, path.read_text()) for path in _checked_files()]
    present = {place for module in modules for _, place in module._all_functions()}
    assert set(ALLOWED) <= present
    assert {"files.py", "tenants.py", "documents.py", "queues.py", "tables.py"} <= {
        path.name for path in _checked_files()
    }


GOOD = {
    "direct": """
async def get(db: Database, tenant: TenantId, bot: BotId) -> None:
    await session.scalar(select(BotRow).where(BotRow.tenant_id == tenant, BotRow.id == bot))
""",
    "by a private helper": """
async def get(db: Database, tenant: TenantId, bot: BotId) -> None:
    await session.execute(delete(BotRow).where(*_mine(tenant, bot)))

def _mine(tenant, bot):
    return BotRow.tenant_id == tenant, BotRow.id == bot
""",
    "by a variable": """
async def get(db: Database, tenant: TenantId, bot: BotId) -> None:
    mine = and_(BotRow.tenant_id == tenant, BotRow.id == bot)
    await session.execute(update(BotRow).where(mine).values(version=2))
""",
    "in a second step": """
async def get(db: Database, tenant: TenantId) -> None:
    query = select(BotRow).order_by(BotRow.id)
    query = query.where(BotRow.tenant_id == tenant)
    await session.scalars(query)
""",
    "the tenant itself": """
async def get(db: Database, tenant: TenantId) -> None:
    await session.get(TenantRow, tenant)
""",
    "a scope": """
class Records:
    async def get(self, scope: BotScope) -> None:
        await session.scalar(select(BotRow).where(BotRow.tenant_id == scope.tenant))
""",
}
BAD = {
    "no tenant": """
async def get(db: Database, bot: BotId) -> None:
    await session.scalar(select(BotRow).where(BotRow.tenant_id == bot))
""",
    "a tenant that is any text": """
async def get(db: Database, tenant: str) -> None:
    return None
""",
    "select without it": """
async def get(db: Database, tenant: TenantId, bot: BotId) -> None:
    await session.scalar(select(BotRow).where(BotRow.id == bot))
""",
    "update without it": """
async def get(db: Database, tenant: TenantId, bot: BotId) -> None:
    await session.execute(update(BotRow).where(BotRow.id == bot).values(version=2))
""",
    "delete without it": """
async def get(db: Database, tenant: TenantId, bot: BotId) -> None:
    await session.execute(delete(BotRow).where(BotRow.id == bot))
""",
    "the second of two queries": """
async def get(db: Database, tenant: TenantId, bot: BotId) -> None:
    await session.scalar(select(BotRow).where(BotRow.tenant_id == tenant))
    await session.execute(delete(BotVersionRow).where(BotVersionRow.bot_id == bot))
""",
    "only in the docstring": '''
async def get(db: Database, tenant: TenantId, bot: BotId) -> None:
    """Scoped by tenant_id."""
    await session.scalar(select(BotRow).where(_mine(bot)))

def _mine(bot):
    """Compares tenant_id."""
    return BotRow.id == bot
''',
    "a private helper": """
async def get(db: Database, tenant: TenantId, bot: BotId) -> None:
    return await _read(session, bot)

async def _read(session, bot):
    return await session.scalar(select(BotRow).where(BotRow.id == bot))
""",
    "a variable": """
async def get(db: Database, tenant: TenantId, bot: BotId) -> None:
    query = select(BotRow).where(BotRow.id == bot)
    await session.scalar(query.limit(1))
""",
    "an aggregate": """
async def get(db: Database, tenant: TenantId) -> None:
    await session.scalar(select(func.sum(UsageRow.cost_nanousd)))
""",
    "by its key": """
async def get(db: Database, tenant: TenantId, bot: BotId) -> None:
    await session.get(BotRow, bot)
""",
    "a tenant by another name": """
async def get(db: Database, tenant: TenantId, other: TenantId) -> None:
    await session.get(TenantRow, other)
""",
    "raw SQL": """
async def get(db: Database, tenant: TenantId) -> None:
    await session.execute(text("SELECT 1"))
""",
    "a row of nobody": """
async def get(db: Database, tenant: TenantId) -> None:
    session.add(BotRow(id="x"))
""",
    "a method": """
class Bots:
    async def get(self, bot: BotId) -> None:
        return None
""",
}


@pytest.mark.parametrize("source", GOOD.values(), ids=GOOD.keys())
def test_the_check_lets_scoped_code_pass(source: str) -> None:
    assert Module("planted", source).faults() == []


@pytest.mark.parametrize("source", BAD.values(), ids=BAD.keys())
def test_the_check_sees_a_planted_fault(source: str) -> None:
    assert len(Module("planted", source).faults()) == 1
