// What the scripts of this book's pages make their parts with.
"use strict";
window.pageElements = (() => {
  // the namespace of pictures, from a picture: no address of a host stands in these scripts
  const holder = document.createElement("div");
  holder.innerHTML = "<svg></svg>";
  const SVG = holder.firstChild.namespaceURI;

  // An element of the page.
  const element = (tag, properties = {}, children = []) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };
  // An element of a picture.
  const drawn = (tag, attributes = {}, children = []) => {
    const made = document.createElementNS(SVG, tag);
    Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
    made.append(...children);
    return made;
  };
  return { element, drawn };
})();
