// A canvas that is as sharp as the screen, and the page's colours for it.

// Its context, emptied, in pixels of the page.
export function sheet(canvas, width, height) {
  Object.assign(canvas, { width: Math.round(width * devicePixelRatio), height: Math.round(height * devicePixelRatio) });
  const context = canvas.getContext("2d");
  context.scale(devicePixelRatio, devicePixelRatio);
  context.font = "11px system-ui, sans-serif";
  return context;
}

const known = new Map(); // colours, read once for each theme: to ask for a style costs a layout
let theme = null;

// name -> colour of a custom property, such as `line` or `role-sink`.
export function inks(element) {
  if (theme !== document.body.className) known.clear();
  theme = document.body.className;
  return (name) => {
    if (!known.get(name)) known.set(name, getComputedStyle(element).getPropertyValue(`--${name}`).trim());
    return known.get(name);
  };
}

// Tell an element's width, now and whenever it changes: to ask for it costs a layout.
export function onWidth(element, tell) {
  new ResizeObserver(([{ contentRect }]) => tell(contentRect.width)).observe(element);
}
