// The interactive Figure 2: histograms of two angles, for a dimension and a law of the entries that
// the reader chooses. Its data stand in the page as JSON (bnn_geometry.interactive); plotly.js
// draws them in the place of the static picture, which remains for print and where no script runs.
// Nothing here moves by itself: a choice replaces one drawing by the next at once.
"use strict";
(() => {
  const { element } = window.pageElements;
  const NARROW = 500; // pixels
  let figures = 0; // for ids

  const dimension = (n) => `n = ${n.toLocaleString("en")}`;
  const degrees = (angle) => `${angle.toFixed(angle < 10 ? 2 : 1)}°`;

  // Outline of a histogram as a density, for lines of shape "hv".
  const outline = ({ start, width, counts }) => {
    const total = counts.reduce((sum, count) => sum + count, 0);
    const edge = (i) => +(start + i * width).toFixed(3);
    return {
      x: [edge(0), ...counts.map((_, i) => edge(i)), edge(counts.length)],
      y: [0, ...counts.map((count) => count / (total * width)), 0],
    };
  };

  const curve = ({ densityStart, densityStep, density }) => ({
    x: density.map((_, i) => densityStart + i * densityStep),
    y: density,
  });

  // The colours of the page's theme, which book.css names.
  const palette = (root) => {
    const style = getComputedStyle(root);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    return {
      binarized: colour("binarized"),
      binarizedFill: colour("binarized-fill"),
      pairs: colour("pairs"),
      pairsFill: colour("pairs-fill"),
      ink: colour("ink"),
      grid: colour("grid"),
      paper: colour("paper"),
      font: style.fontFamily,
    };
  };

  const traces = (law, { binarized, pairs }, colours) => {
    const hover = "%{x:.1f}°, %{y:.3g} per degree";
    const both = [outline(binarized), outline(pairs)];
    const laws = [binarized, pairs].filter((one) => one.density.length).map(curve);
    const top = Math.max(...[...both, ...laws].flatMap((line) => line.y));
    return [
      {
        ...both[0],
        name: "vector and its binarization",
        line: { shape: "hv", width: 1.5, color: colours.binarized },
        fill: "tozeroy",
        fillcolor: colours.binarizedFill,
        hovertemplate: hover,
      },
      {
        ...both[1],
        name: "two random vectors",
        line: { shape: "hv", width: 1.5, color: colours.pairs },
        fill: "tozeroy",
        // hatched: the two differ not in colour alone
        fillpattern: { shape: "/", size: 6, fgcolor: colours.pairs, bgcolor: colours.pairsFill },
        hovertemplate: hover,
      },
      ...laws.map((line, i) => ({
        ...line,
        name: "theory",
        legendgroup: "theory",
        showlegend: i === 0,
        line: { width: 1.5, color: colours.ink },
        hovertemplate: hover,
      })),
      {
        x: [law.limit, law.limit],
        y: [0, 1.05 * top],
        name: "limit, n → ∞",
        line: { width: 1.5, dash: "dash", color: colours.ink },
        hovertemplate: "limit %{x:.2f}°",
      },
    ].map((trace) => ({
      type: "scatter", mode: "lines", hoverlabel: { namelength: -1 }, ...trace,
    }));
  };

  const layout = (width, colours) => {
    const axis = {
      color: colours.ink,
      gridcolor: colours.grid,
      linecolor: colours.ink,
      showline: true,
      ticks: "outside",
      zeroline: false,
      fixedrange: true, // a finger on the plot scrolls the page
    };
    const narrow = width < NARROW;
    const size = narrow ? 12 : 14;
    const title = (text) => ({ text, font: { size } });
    return {
      autosize: true,
      height: narrow ? 400 : 380,
      margin: { l: narrow ? 65 : 75, r: 15, t: 10, b: 50 },
      font: { family: colours.font, size, color: colours.ink },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      hoverlabel: { bgcolor: colours.paper, font: { color: colours.ink } },
      dragmode: false,
      hovermode: "closest",
      hoverdistance: 40,
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", itemclick: false,
        itemdoubleclick: false, font: { size: 12 } },
      xaxis: { ...axis, title: title("angle (degrees)"), range: [0, 180], dtick: 30 },
      yaxis: { ...axis, title: title("density (per degree)"), rangemode: "tozero" },
    };
  };

  const sentence = (n, law, { binarized, pairs }) =>
    `${dimension(n)}, entries ${law.name}: the angle between a vector and its binarization is ` +
    `${degrees(binarized.mean)} on average (standard deviation ${degrees(binarized.sd)}; limit ` +
    `${degrees(law.limit)}), that between two random vectors ${degrees(pairs.mean)} ` +
    `(${degrees(pairs.sd)}).`;

  const build = (script) => {
    const figure = document.getElementById(script.dataset.figure);
    const picture = figure?.querySelector("img");
    if (!picture || !window.Plotly) return; // the static picture stays
    const data = JSON.parse(script.textContent);
    const id = `angle-histograms-${(figures += 1)}`;

    const slider = element("input", {
      type: "range", id: `${id}-n`, min: 0, max: data.dimensions.length - 1, step: 1,
    });
    slider.value = data.first;
    const shown = element("output", { htmlFor: slider.id });
    const controls = element("div", { className: "controls" }, [
      element("label", { htmlFor: slider.id, textContent: "Dimension" }), slider, shown,
    ]);
    const choice = element("select", { id: `${id}-law` },
      data.laws.map((law, i) => element("option", { value: i, textContent: law.name })));
    if (data.laws.length > 1) {
      controls.append(
        element("label", { htmlFor: choice.id, textContent: "Entries" }), choice);
    }
    const text = element("p", { className: "status", id: `${id}-text` });
    text.setAttribute("role", "status"); // a polite live region
    text.setAttribute("aria-live", "polite");
    const plot = element("div", { className: "plot" });
    plot.setAttribute("role", "img");
    plot.setAttribute("aria-label", "Histograms of both angles for the chosen dimension");
    plot.setAttribute("aria-describedby", text.id);
    const root = element("div", { className: "angle-histograms" }, [controls, plot, text]);

    const chosen = () => {
      const law = data.laws[choice.selectedIndex];
      return { law, n: data.dimensions[slider.valueAsNumber],
        both: law.histograms[slider.valueAsNumber] };
    };
    const draw = () => {
      const { law, both } = chosen();
      const colours = palette(root);
      Plotly.react(plot, traces(law, both, colours), layout(plot.clientWidth, colours), {
        displayModeBar: false,
      });
    };
    const say = () => {
      const { law, n, both } = chosen();
      shown.value = dimension(n);
      slider.setAttribute("aria-valuetext", dimension(n));
      text.textContent = sentence(n, law, both);
    };
    const change = () => {
      say(); // once per choice: a screen reader may read it again whenever it is written
      draw();
    };

    picture.before(root);
    figure.classList.add("interactive");
    change();
    slider.addEventListener("input", change);
    choice.addEventListener("change", change);
    new MutationObserver(draw).observe(document.documentElement, {
      attributeFilter: ["data-theme"],
    });
    let width = plot.clientWidth;
    new ResizeObserver(() => {
      // not while it is printed, when it has no size
      if (plot.clientWidth && plot.clientWidth !== width) {
        width = plot.clientWidth;
        draw();
      }
    }).observe(plot);
  };

  document.querySelectorAll("script.angle-histograms").forEach(build);
})();
