// Every table sorts by a click on a heading; a long one has a field that filters its rows.
const LONG = 12; // rows: a table cut to 10 has nothing to search in
const value = cell => {
  const text = cell.textContent.trim();
  const number = parseFloat(text.replaceAll(",", ""));
  return /^[-<]?\s?[\d,.]+(\s?%)?$/.test(text) ? number : text.toLowerCase();
};
const before = (a, b) => typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1;

function sort(table, column, heading) {
  const down = heading.getAttribute("aria-sort") === "ascending";
  const rows = [...table.tBodies[0].rows].map(row => [value(row.cells[column]), row]);
  rows.sort((a, b) => before(a[0], b[0]) * (down ? -1 : 1));
  table.tBodies[0].append(...rows.map(([, row]) => row));
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
}

function filter(table, words) {
  const wanted = words.toLowerCase().split(/\s+/);
  for (const row of table.tBodies[0].rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !wanted.every(word => text.includes(word));
  }
}

for (const table of document.querySelectorAll(".wide table:has(thead)")) {
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const button = document.createElement("button");
    button.textContent = heading.textContent;
    button.addEventListener("click", () => sort(table, column, heading));
    heading.replaceChildren(button);
  });
  if (table.tBodies[0].rows.length < LONG) continue;
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = "Filter the rows";
  field.setAttribute("aria-label", "Filter the rows of the table below");
  field.addEventListener("input", () => filter(table, field.value));
  table.parentElement.before(field);
}
