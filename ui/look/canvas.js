// A canvas that is as sharp as the screen, and the page's colours for it.

// Its context, emptied, in pixels of the page.
export function sheet(canvas, width, height) {
  Object.assign(canvas, { width: Math.round(width * devicePixelRatio), height: Math.round(height * devicePixelRatio) });
  const context = canvas.getContext("2d");
  context.scale(devicePixelRatio, devicePixelRatio);
  context.font = "11px system-ui, sans-serif";
  return context;
}

// name -> colour of a custom property, such as `line` or `role-sink`.
export function inks(element) {
  const style = getComputedStyle(element);
  return (name) => style.getPropertyValue(`--${name}`).trim();
}

// Tell an element's width, now and whenever it changes: to ask for it costs a layout.
export function onWidth(element, tell) {
  new ResizeObserver(([{ contentRect }]) => tell(contentRect.width)).observe(element);
}
