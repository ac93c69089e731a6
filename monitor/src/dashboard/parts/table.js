// A table that becomes a list of cards where the page is narrow. Its roles are written out: a browser forgets them once the
// rows are no table rows any more.
import { h } from "../lib/dom.js";

/**
 * `columns`: `{ name, cell(row), class?, wide?, title?(row) }`; the first column without a name is for controls.
 * `options`: `key(row)`, `caption`, `empty`, `row(row)` props of a row.
 */
export function table(columns, rows, { key, caption, empty, row: props = () => ({}) }) {
  if (rows.length === 0) return h("p", { class: "empty" }, empty);
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      { role: "table", class: "list" },
      h("caption", { class: "hidden" }, caption),
      h(
        "thead",
        { role: "rowgroup" },
        h(
          "tr",
          { role: "row" },
          columns.map(column =>
            h(
              "th",
              { key: column.name, role: "columnheader", scope: "col", class: column.class },
              column.head ?? column.name,
            ),
          ),
        ),
      ),
      h(
        "tbody",
        { role: "rowgroup" },
        rows.map(row =>
          h(
            "tr",
            { role: "row", key: key(row), ...props(row) },
            columns.map(column =>
              h(
                "td",
                {
                  key: column.name,
                  role: "cell",
                  class: column.class,
                  title: column.title?.(row),
                  "data-label": column.label ?? column.name,
                },
                column.cell(row),
              ),
            ),
          ),
        ),
      ),
    ),
  );
}

/** Names and values, one below the other. Those without a value are left out. */
export const facts = pairs =>
  h(
    "dl",
    { class: "facts" },
    pairs
      .filter(([, value]) => value !== null && value !== undefined && value !== false && value !== "")
      .map(([name, value]) => h("div", { key: name }, h("dt", null, name), h("dd", null, value))),
  );
