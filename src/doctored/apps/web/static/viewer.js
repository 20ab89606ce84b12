// A picture under its map or overlay, to be zoomed and moved; OpenSeadragon draws it from tiles.
const { Point, Rect, TileSource } = OpenSeadragon;
const KINDS = ["picture", "map", "overlay"];
const MARGIN = 0.6; // of a region's longer side, shown around it

export class Viewer {
  /**
   * @param {HTMLElement} element To draw in.
   * @param {object} on onZoom gets screen pixels for one of the picture, onCut percent, onKind the name of a layer.
   */
  constructor(element, on) {
    this.on = on;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.osd = OpenSeadragon({
      element,
      drawer: "canvas",
      showNavigationControl: false,
      animationTime: still ? 0 : 0.4,
      visibilityRatio: 0.5,
      minZoomImageRatio: 0.8,
      maxZoomPixelRatio: 16,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
      gestureSettingsTouch: { dblClickToZoom: true },
    });
    this.layers = new Map();
    this.osd.canvas.setAttribute("role", "application");
    this.osd.canvas.setAttribute("aria-roledescription", "picture that can be zoomed");
    this.osd.addHandler("canvas-key", (event) => this.onKey(event));
    this.osd.addHandler("canvas-scroll", (event) => {
      // Someone who scrolls past on the way down the page does not want to zoom.
      if (event.originalEvent.ctrlKey || element.contains(document.activeElement)) return;
      event.preventDefaultAction = true;
      event.preventDefault = false;
    });
    this.osd.addHandler("update-viewport", () => this.onView());
    this.line = document.createElement("div");
    this.line.className = "cut-line";
    new OpenSeadragon.MouseTracker({
      element: this.line,
      dragHandler: ({ originalEvent }) => {
        const { left } = this.osd.canvas.getBoundingClientRect();
        const { x } = this.osd.viewport.pointFromPixel(new Point(originalEvent.clientX - left, 0));
        this.on.onCut(100 * Math.min(1, Math.max(0, x)));
      },
    });
  }

  /** Opens another picture; `show` says what is seen of it. */
  open(name, job, tiles, markings) {
    this.close();
    Object.assign(this, { name, job, tiles, markings });
    this.isOpen = true;
    this.osd.element.style.aspectRatio = `${tiles.width} / ${tiles.height}`;
    this.osd.forceResize();
    this.boxes = markings.map(({ box_xyxy: [x1, y1, x2, y2] }, index) => {
      const box = document.createElement("div");
      const number = document.createElement("span");
      box.className = "box";
      number.textContent = index + 1;
      box.append(number);
      const { width } = tiles;
      this.osd.addOverlay({ element: box, location: new Rect(x1 / width, y1 / width, (x2 - x1) / width, (y2 - y1) / width) });
      return box;
    });
    this.layer("picture", "answer", 1);
  }

  close() {
    this.isOpen = false;
    this.osd.close();
    this.layers.clear();
    this.boxes = [];
    this.lineIsThere = false;
  }

  /** Shows one kind of layer over the picture and hides the others. */
  show(kind, map, opacity) {
    if (!this.isOpen) return;
    this.osd.canvas.setAttribute(
      "aria-label",
      `${kind[0].toUpperCase()}${kind.slice(1)} of ${this.name}. Arrow keys move, plus and minus zoom, 0 shows all, 1 to 3 show picture, map or overlay.`,
    );
    this.top = kind === "picture" ? null : `${kind}/${map}`;
    this.opacity = opacity;
    if (this.top) this.layer(kind, map, opacity);
    this.arrange();
  }

  /** Hides the left part of the upper layer. */
  cut(share) {
    this.share = share;
    if (this.isOpen) this.arrange();
  }

  goTo(index) {
    this.boxes.forEach((box, other) => box.classList.toggle("chosen", other === index));
    const [x1, y1, x2, y2] = this.markings[index].box_xyxy;
    const margin = MARGIN * Math.max(x2 - x1, y2 - y1), { width } = this.tiles;
    const around = [x1 - margin, y1 - margin, x2 - x1 + 2 * margin, y2 - y1 + 2 * margin];
    this.osd.viewport.fitBoundsWithConstraints(new Rect(...around.map((edge) => edge / width)));
  }

  zoomBy(factor) {
    this.osd.viewport.zoomBy(factor);
    this.osd.viewport.applyConstraints();
  }

  zoomNative() {
    this.osd.viewport.zoomTo(this.osd.world.getItemAt(0).imageToViewportZoom(1 / devicePixelRatio));
    this.osd.viewport.applyConstraints();
  }

  fit() {
    this.osd.viewport.goHome();
  }

  // ---- below

  layer(kind, map, opacity) {
    const key = kind === "picture" ? kind : `${kind}/${map}`;
    if (this.layers.has(key)) return;
    this.layers.set(key, null);
    const { width, height, tile_px: tileSize, halvings } = this.tiles, { job } = this;
    const tileSource = new TileSource({ width, height, tileSize, tileOverlap: 0, minLevel: 0, maxLevel: halvings });
    tileSource.getTileUrl = (level, x, y) =>
      `/jobs/${job}/tiles/${kind}/${halvings - level}/${x}/${y}?map=${encodeURIComponent(map)}`;
    this.osd.addTiledImage({
      tileSource,
      index: kind === "picture" ? 0 : undefined,
      opacity,
      success: ({ item }) => {
        if (this.job !== job || !this.layers.has(key)) return;
        this.layers.set(key, item);
        if (kind === "picture") this.osd.viewport.goHome(true);
        this.arrange();
      },
    });
  }

  arrange() {
    const { width, height } = this.tiles, share = this.share ?? 0;
    for (const [key, item] of this.layers) {
      if (!item || key === "picture") continue;
      const hidden = key !== this.top || share >= 1;
      item.setOpacity(hidden ? 0 : this.opacity);
      item.setClip(hidden || share <= 0 ? null : new Rect(share * width, 0, (1 - share) * width, height));
    }
    const wanted = this.top !== null && share > 0 && share < 1;
    const location = new Rect(share, 0, 0, height / width);
    if (wanted && this.lineIsThere) this.osd.updateOverlay(this.line, location);
    else if (wanted) this.osd.addOverlay({ element: this.line, location });
    else if (this.lineIsThere) this.osd.removeOverlay(this.line);
    this.lineIsThere = wanted;
  }

  onView() {
    const item = this.osd.world.getItemAt(0);
    if (!item) return;
    const zoom = devicePixelRatio * item.viewportToImageZoom(this.osd.viewport.getZoom(true));
    // Enlarged pixels stay squares, since smoothing would show what is not there.
    this.osd.drawer.setImageSmoothingEnabled(zoom < 0.99);
    this.on.onZoom(zoom);
  }

  onKey(event) {
    const { key } = event.originalEvent;
    if (["1", "2", "3"].includes(key)) this.on.onKind(KINDS[key - 1]);
    // A turned or mirrored picture would no longer be the one that was analysed.
    if (["r", "f"].includes(key.toLowerCase())) event.preventDefaultAction = true;
  }
}
