// A cloud in the plane and the signs of its vectors: a slider rotates it, and what has changed is
// spoken. The points stand in the page as JSON (bnn_geometry.book.rotated_signs); the static picture
// above shows two rotations, also in print and where no script runs.
"use strict";
(() => {
  const { element, drawn } = window.pageElements;
  const SIZE = 260;
  const MIDDLE = SIZE / 2;
  let figures = 0; // for ids

  const radians = (degrees) => (degrees * Math.PI) / 180;
  const rotated = ([x, y], by) => [
    Math.cos(by) * x - Math.sin(by) * y, Math.sin(by) * x + Math.cos(by) * y,
  ];
  // Degrees between a vector and the diagonal of its signs.
  const angle = ([x, y]) => {
    const cosine = (Math.abs(x) + Math.abs(y)) / Math.hypot(x, y) / Math.SQRT2;
    return (Math.acos(Math.min(1, cosine)) * 180) / Math.PI;
  };
  const code = ([x, y]) => `(${x > 0 ? "+1" : "−1"}, ${y > 0 ? "+1" : "−1"})`;
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  const build = (script) => {
    const figure = document.getElementById(script.dataset.figure);
    if (!figure) return;
    const { points, reach } = JSON.parse(script.textContent);
    const scale = MIDDLE / reach;
    const id = `rotated-signs-${(figures += 1)}`;
    const place = ([x, y]) => [MIDDLE + scale * x, MIDDLE - scale * y];

    const slider = element("input", { type: "range", id, min: 0, max: 90, step: 3 });
    slider.value = 0;
    const shown = element("output", { htmlFor: id });
    const controls = element("div", { className: "controls" }, [
      element("label", { htmlFor: id, textContent: "Rotate the cloud" }), slider, shown,
    ]);
    const picture = drawn("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, role: "img", class: "plane" });
    picture.setAttribute("aria-label", "Vectors in the plane and the four codes of their signs");
    const text = element("p", { className: "status" });
    text.setAttribute("role", "status");
    text.setAttribute("aria-live", "polite");

    const everyRotation = mean([...Array(90).keys()].map((degrees) =>
      mean(points.map((point) => angle(rotated(point, radians(degrees)))))));

    const change = () => {
      const degrees = slider.valueAsNumber;
      const now = points.map((point) => rotated(point, radians(degrees)));
      const counts = {};
      now.forEach((point) => { counts[code(point)] = (counts[code(point)] || 0) + 1; });
      const codes = [[1, 1], [-1, 1], [-1, -1], [1, -1]].flatMap((signs) => {
        const [x, y] = place(signs.map((s) => s / Math.SQRT2));
        const used = counts[code(signs)] || 0;
        const label = drawn("text", {
          x: x + 11 * signs[0], y: y - 11 * signs[1] + 4, class: "name",
          "text-anchor": signs[0] > 0 ? "start" : "end",
        });
        label.textContent = used;
        const corner = { x: x - 6, y: y - 6, width: 12, height: 12 };
        return [drawn("rect", { ...corner, class: used ? "code" : "code idle" }), label];
      });
      picture.replaceChildren(
        drawn("line", { x1: 0, x2: SIZE, y1: MIDDLE, y2: MIDDLE, class: "axis" }),
        drawn("line", { x1: MIDDLE, x2: MIDDLE, y1: 0, y2: SIZE, class: "axis" }),
        ...now.map((point) => {
          const [cx, cy] = place(point);
          return drawn("circle", { cx, cy, r: 3, class: "dot" });
        }),
        ...codes,
      );
      shown.value = `${degrees}°`;
      slider.setAttribute("aria-valuetext", `${degrees} degrees`);
      const used = Object.entries(counts).sort((a, b) => b[1] - a[1])
        .map(([signs, count]) => `${count} share the code ${signs}`).join(", ");
      text.textContent =
        `Rotated by ${degrees}°, the vectors are ${mean(now.map(angle)).toFixed(1)}° from their ` +
        `signs in the mean; over all rotations, ${everyRotation.toFixed(1)}°. ` +
        `Of ${points.length} vectors ${used}.`;
    };

    figure.querySelector("figcaption").before(
      element("div", { className: "rotated-signs" }, [controls, picture, text]),
    );
    change();
    slider.addEventListener("input", change);
  };

  document.querySelectorAll("script.rotated-signs").forEach(build);
})();
