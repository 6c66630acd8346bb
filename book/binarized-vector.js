// Below the interactive Figure 2: a vector to drag, in the plane and in space, with the nearest
// binary vector and the angle between them. It needs no data. The arrow keys turn the vector, and
// what has changed is spoken. Nothing of it is printed.
"use strict";
(() => {
  const { element, drawn } = window.pageElements;
  const SIZE = 240;
  const MIDDLE = SIZE / 2;
  const RADIUS = 95;
  const STEP = (3 * Math.PI) / 180;
  // from where the reader looks at space: the axes' ends must not hide each other
  const VIEW = { turn: 0.55, tilt: 0.35 };

  const sign = (w) => (w > 0 ? 1 : -1);
  const norm = (v) => Math.sqrt(v.reduce((sum, x) => sum + x * x, 0));
  const unit = (v) => v.map((x) => x / norm(v));
  const degrees = (radians) => (radians * 180) / Math.PI;

  // Where a direction appears: x to the right, y up, depth towards the reader.
  const seen = (v) => {
    if (v.length === 2) return [v[0], v[1], 1];
    const { turn, tilt } = VIEW;
    const x = Math.cos(turn) * v[0] - Math.sin(turn) * v[1];
    const away = Math.sin(turn) * v[0] + Math.cos(turn) * v[1];
    return [x, Math.cos(tilt) * v[2] + Math.sin(tilt) * away, Math.sin(tilt) * v[2] - Math.cos(tilt) * away];
  };
  // The direction that appears at a place, on the side that faces the reader.
  const meant = (x, y, n) => {
    if (n === 2) return unit([x, y]);
    const length = Math.max(1, Math.hypot(x, y));
    const [a, b] = [x / length, y / length];
    const depth = Math.sqrt(Math.max(0, 1 - a * a - b * b));
    const { turn, tilt } = VIEW;
    const up = Math.cos(tilt) * b + Math.sin(tilt) * depth;
    const away = Math.sin(tilt) * b - Math.cos(tilt) * depth;
    return unit([
      Math.cos(turn) * a + Math.sin(turn) * away, -Math.sin(turn) * a + Math.cos(turn) * away, up,
    ]);
  };
  const binaries = (n) => [...Array(2 ** n).keys()].map((i) =>
    [...Array(n).keys()].map((k) => (((i >> k) & 1) * 2 - 1) / Math.sqrt(n)));

  const build = (root) => {
    let n = 2;
    let vector = unit([1, 0.35]);
    const picture = drawn("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, tabindex: 0, class: "vector" });
    picture.setAttribute("role", "application");
    picture.setAttribute("aria-roledescription", "vector to turn with the arrow keys");
    const text = element("p", { className: "status" });
    text.setAttribute("role", "status");
    text.setAttribute("aria-live", "polite");
    const choose = [2, 3].map((count) => {
      const button = element("button", { type: "button", textContent: `n = ${count}` });
      button.addEventListener("click", () => {
        n = count;
        vector = unit(count === 2 ? [1, 0.35] : [1, 0.5, 0.25]);
        draw();
      });
      return button;
    });
    const controls = element("div", { className: "controls" }, [
      element("span", { textContent: "Drag the vector, or turn it with the arrow keys:" }), ...choose,
    ]);

    const place = (v) => {
      const [x, y, depth] = seen(v);
      return [MIDDLE + RADIUS * x, MIDDLE - RADIUS * y, depth];
    };
    const ray = (v, name) => {
      const [x, y, depth] = place(v);
      return drawn("line", {
        x1: MIDDLE, y1: MIDDLE, x2: x, y2: y, class: depth < 0 ? `${name} behind` : name,
      });
    };
    const draw = () => {
      const nearest = unit(vector.map(sign));
      const cosine = vector.reduce((sum, x, i) => sum + x * nearest[i], 0);
      const angle = degrees(Math.acos(Math.min(1, cosine)));
      const worst = degrees(Math.acos(1 / Math.sqrt(n)));
      const others = binaries(n).map((b) => {
        const [x, y, depth] = place(b);
        return drawn("circle", { cx: x, cy: y, r: 4, class: depth < 0 ? "binary behind" : "binary" });
      });
      const [x, y] = place(vector);
      const handle = drawn("circle", { cx: x, cy: y, r: 9, class: "handle" });
      picture.replaceChildren(
        drawn("circle", { cx: MIDDLE, cy: MIDDLE, r: RADIUS, class: "sphere" }),
        ...[...Array(n).keys()].flatMap((i) => [1, -1].map((end) =>
          ray([...Array(n).keys()].map((k) => (k === i ? end : 0)), "axis"))),
        ...others, ray(nearest, "nearest"), ray(vector, "own"), handle,
      );
      choose.forEach((button, i) => button.setAttribute("aria-pressed", String(i + 2 === n)));
      text.textContent =
        `n = ${n}: the vector (${vector.map((v) => v.toFixed(2).replace("-", "−")).join(", ")}) is ` +
        `${angle.toFixed(1)}° from its binarization (${vector.map((v) => (v > 0 ? "+1" : "−1")).join(", ")}); ` +
        `an axis is ${worst.toFixed(1)}° from the nearest.`;
    };
    const drag = (event) => {
      const box = picture.getBoundingClientRect();
      const scale = SIZE / box.width;
      const x = ((event.clientX - box.left) * scale - MIDDLE) / RADIUS;
      const y = -((event.clientY - box.top) * scale - MIDDLE) / RADIUS;
      if (Math.hypot(x, y) < 0.02 && n === 2) return;
      vector = meant(x, y, n);
      draw();
    };
    picture.addEventListener("pointerdown", (event) => {
      picture.setPointerCapture(event.pointerId);
      drag(event);
    });
    picture.addEventListener("pointermove", (event) => {
      if (picture.hasPointerCapture(event.pointerId)) drag(event);
    });
    picture.addEventListener("keydown", (event) => {
      const turns = {
        ArrowLeft: [0, 1, STEP], ArrowRight: [0, 1, -STEP],
        ArrowUp: n === 2 ? [0, 1, STEP] : [0, 2, STEP],
        ArrowDown: n === 2 ? [0, 1, -STEP] : [0, 2, -STEP],
      };
      const turn = turns[event.key];
      if (!turn) return;
      event.preventDefault();
      const [i, k, by] = turn;
      const [a, b] = [vector[i], vector[k]];
      vector = [...vector];
      vector[i] = Math.cos(by) * a - Math.sin(by) * b;
      vector[k] = Math.sin(by) * a + Math.cos(by) * b;
      draw();
    });
    root.after(element("div", { className: "binarized-vector" }, [controls, picture, text]));
    draw();
  };

  document.querySelectorAll(".angle-histograms:not(script)").forEach(build);
})();
