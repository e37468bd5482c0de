// Reads out the values nearest to the pointer; the page is complete without it.
const readout = document.getElementById("readout");
for (const plot of document.querySelectorAll(".plot")) {
  const [low, high] = [Number(plot.dataset.low), Number(plot.dataset.high)];
  const lines = [...plot.querySelectorAll("path[data-name]")].map((path) => ({
    name: path.dataset.name,
    steps: path.dataset.steps.split(" ").map(Number),
    values: path.dataset.values.split(" "),
  }));
  plot.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    const step = low + ((event.clientX - box.left) / box.width) * (high - low);
    readout.textContent = lines.map(({ name, steps, values }) => {
      const near = steps.reduce((best, one, at) =>
        Math.abs(one - step) < Math.abs(steps[best] - step) ? at : best, 0);
      return `${name} ${values[near]} at step ${steps[near].toLocaleString("en")}`;
    }).join("\n");
    readout.hidden = false;
    const side = event.clientX > innerWidth / 2 ? -readout.offsetWidth - 14 : 14;
    readout.style.left = `${Math.max(4, event.clientX + side)}px`;
    readout.style.top = `${event.clientY + 16}px`;
  });
  plot.addEventListener("pointerleave", () => { readout.hidden = true; });
}
