// Shows the device under the pointer, and searches devices by id. The page is complete without this script.
const devices = JSON.parse(document.getElementById("devices").textContent);
const grid = document.getElementById("grid"), found = document.getElementById("found"), find = document.getElementById("find");
const describe = ([id, outcome, rows, anomalies]) =>
  `${id}: ${outcome}` + (rows ? `, ${rows.toLocaleString("en")} readings, ${anomalies.toLocaleString("en")} anomalies` : "");
if (grid) {
  const columns = Number(grid.dataset.columns);
  grid.addEventListener("pointermove", (event) => {
    const spot = new DOMPoint(event.clientX, event.clientY).matrixTransform(grid.getScreenCTM().inverse());
    const column = Math.floor(spot.x / 10), device = devices[Math.floor(spot.y / 10) * columns + column];
    found.textContent = device && column >= 0 && column < columns ? describe(device) : "";
  });
}
find.hidden = false;
find.addEventListener("input", () => {
  const text = find.value.trim();
  const hits = text ? devices.filter(([id]) => id.includes(text)) : [];
  const exact = hits.filter(([id]) => id === text);
  const shown = exact.length ? exact : hits.slice(0, 5);
  found.textContent = text && !hits.length ? "no such device" : shown.map(describe).join(" · ") + (hits.length > shown.length && !exact.length ? ` · and ${hits.length - 5} more` : "");
});
