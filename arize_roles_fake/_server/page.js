const input = id => document.getElementById(id);
const asked = new URLSearchParams(location.hash.slice(1));
const tables = page => [...page.querySelectorAll("h1 + p, h2, table")];
const shown = tables(document).map(each => each.innerHTML);
function filter() {
  const name = input("role").value.trim().toLowerCase();
  const part = input("permission").value.trim().toUpperCase();
  const rows = [...document.querySelectorAll(".roles tbody tr")];
  for (const row of rows) row.hidden = !row.dataset.permission.includes(part);
  const left = rows.filter(row => !row.hidden);
  document.querySelectorAll("th.role").forEach((head, index) => {
    const holds = !part || left.some(row => row.cells[index + 1].textContent);
    const hidden = !holds || !head.dataset.name.toLowerCase().includes(name);
    head.hidden = hidden;
    for (const row of rows) row.cells[index + 1].hidden = hidden;
  });
}
async function update() {
  const answer = await fetch("/");
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = tables(page), texts = fresh.map(each => each.innerHTML);
  tables(document).forEach((old, index) => {
    if (texts[index] !== shown[index]) old.replaceChildren(...fresh[index].childNodes);
  });
  shown.splice(0, shown.length, ...texts);
  filter();
}
async function watch() {
  await new Promise(wait => setTimeout(wait, 1000));
  if (!document.hidden)
    await update().then(() => false, () => true).then(gone => input("gone").hidden = !gone);
  watch();
}
for (const id of ["role", "permission"]) {
  input(id).value = asked.get(id) || input(id).value;
  input(id).oninput = filter;
}
filter();
watch();
