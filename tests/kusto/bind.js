// Reads {tables: {name: "(column: type, …)"}, queries: [text, …]} as JSON from standard input; writes for each query
// {wrong: [message, …], columns: ["name: type", …]}. The parser is Microsoft's own, compiled from C# by Bridge.NET.
require("@kusto/language-service-next/bridge.min.js");
require("@kusto/language-service-next/Kusto.Language.Bridge.min.js");

const { GlobalState, KustoCode, Diagnostic, Symbols } = Kusto.Language;

const { tables, queries } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const symbols = new (System.Collections.Generic.List$1(Symbols.Symbol).ctor)();
for (const [name, schema] of Object.entries(tables)) {
  symbols.add(new Symbols.TableSymbol.$ctor7(name, schema, null));
}
const globals = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.$ctor1("workspace", symbols, false));

function list(items, type) {
  return Array.from({ length: System.Array.getCount(items, type) }, (_, at) => System.Array.getItem(items, at, type));
}

function bind(text) {
  const code = KustoCode.ParseAndAnalyze(text, globals);
  const columns = code.ResultType?.Columns;
  return {
    wrong: list(code.GetDiagnostics(), Diagnostic).map((one) => one.Message),
    columns: columns ? list(columns, Symbols.ColumnSymbol).map((one) => `${one.Name}: ${one.Type.Name}`) : [],
  };
}

process.stdout.write(JSON.stringify(queries.map(bind)));
