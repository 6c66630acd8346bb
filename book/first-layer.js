// The first layer's filters: choose one, and see its latent and its binary weights as colours, the
// cloud of its dot products, and its correlation. The data stand in the page as JSON
// (bnn_geometry.book.filters); the static picture remains for print and where no script runs.
"use strict";
(() => {
  const { element, drawn } = window.pageElements;
  let figures = 0; // for ids

  const sign = (w) => (w > 0 ? 1 : -1);
  const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

  // Nine squares: channels first, rows, columns.
  const patch = (weights, label) => {
    const squares = [...Array(9).keys()].map((i) => {
      const level = (channel) => Math.round((Math.max(-1, Math.min(1, weights[9 * channel + i])) + 1) * 127.5);
      return drawn("rect", {
        x: 30 * (i % 3), y: 30 * Math.floor(i / 3), width: 30, height: 30,
        fill: `rgb(${level(0)},${level(1)},${level(2)})`,
      });
    });
    const picture = drawn("svg", { viewBox: "0 0 90 90", role: "img", class: "patch" }, squares);
    picture.setAttribute("aria-label", label);
    return picture;
  };

  const cloud = (pairs) => {
    const reach = (i) => Math.max(...pairs.map((pair) => Math.abs(pair[i]))) || 1;
    const [across, up] = [reach(0), reach(1)];
    const dots = pairs.map(([a, b]) => drawn("circle", {
      cx: 150 + (130 * a) / across, cy: 110 - (95 * b) / up, r: 2, class: "dot",
    }));
    const axes = [
      drawn("line", { x1: 15, x2: 285, y1: 110, y2: 110, class: "axis" }),
      drawn("line", { x1: 150, x2: 150, y1: 10, y2: 210, class: "axis" }),
    ];
    const text = (x, y, words, anchor) => {
      const made = drawn("text", { x, y, "text-anchor": anchor, class: "name" });
      made.textContent = words;
      return made;
    };
    const picture = drawn("svg", { viewBox: "0 0 300 225", role: "img", class: "cloud" }, [
      ...axes, ...dots, text(285, 104, "x·wᵇ", "end"), text(156, 18, "x·wᶜ", "start"),
    ]);
    picture.setAttribute("aria-label", "Dot products of patches with latent and binary weights");
    return picture;
  };

  const build = (script) => {
    const figure = document.getElementById(script.dataset.figure);
    const picture = figure?.querySelector("img");
    if (!picture) return; // the static picture stays
    const { weights, patches, r } = JSON.parse(script.textContent);
    const inputs = patches.map((pixels) => pixels.map((p) => (p < 0 ? 0 : (2 * p) / 255 - 1)));
    const ranked = r.map((_, i) => i).sort((a, b) => r[a] - r[b]);
    const id = `first-layer-${(figures += 1)}`;

    const slider = element("input", {
      type: "range", id: `${id}-filter`, min: 0, max: ranked.length - 1, step: 1,
    });
    slider.value = 0;
    const shown = element("output", { htmlFor: slider.id });
    const controls = element("div", { className: "controls" }, [
      element("label", { htmlFor: slider.id, textContent: "Filter, by its r" }), slider, shown,
    ]);
    const pictures = element("div", { className: "pictures" });
    const text = element("p", { className: "status" });
    text.setAttribute("role", "status");
    text.setAttribute("aria-live", "polite");
    const root = element("div", { className: "first-layer" }, [controls, pictures, text]);

    const change = () => {
      const rank = slider.valueAsNumber;
      const filter = ranked[rank];
      const latent = weights[filter];
      const binary = latent.map(sign);
      const length = Math.sqrt(dot(latent, latent) * latent.length);
      const angle = (Math.acos(dot(latent, binary) / length) * 180) / Math.PI;
      const named = (svg, words) => element("div", { className: "part" }, [
        svg, element("span", { textContent: words }),
      ]);
      pictures.replaceChildren(
        named(patch(latent, "latent weights as colours"), "latent, wᶜ"),
        named(patch(binary, "binary weights as colours"), "binary, wᵇ"),
        named(cloud(inputs.map((x) => [dot(x, binary), dot(x, latent)])), "patches of test images"),
      );
      shown.value = `r = ${r[filter].toFixed(2)}`;
      slider.setAttribute("aria-valuetext", `filter ${filter}, r = ${r[filter].toFixed(2)}`);
      text.textContent =
        `Filter ${filter}, ${rank + 1} of ${ranked.length} from the lowest r: r = ` +
        `${r[filter].toFixed(2)}, at an angle of ${angle.toFixed(0)}°, whose cosine is ` +
        `${Math.cos((angle * Math.PI) / 180).toFixed(2)}.`;
    };

    picture.before(root);
    figure.classList.add("interactive");
    change();
    slider.addEventListener("input", change);
  };

  document.querySelectorAll("script.first-layer").forEach(build);
})();
