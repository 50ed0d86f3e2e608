// A list of many items of one height, of which only those in sight are in the document.

export class List {
  // `make(element)` fills a line once, `draw(element, item)` shows an item in it; `key(item)` tells items apart.
  constructor(element, { height, make, draw, key, choose }) {
    Object.assign(this, { element, height, make, draw, key, choose });
    this.items = [];
    this.chosen = null;
    this.lines = [];
    this.follows = true;
    this.space = document.createElement("div");
    this.space.className = "space";
    this.space.role = "presentation";
    element.append(this.space);
    element.addEventListener("scroll", () => {
      this.follows = this.atEnd();
      this.paint();
    });
    element.addEventListener("click", (event) => {
      const line = event.target.closest("[data-index]");
      if (line) this.pick(this.items[Number(line.dataset.index)]);
    });
    element.addEventListener("keydown", (event) => this.typed(event));
    new ResizeObserver(() => this.paint()).observe(element);
  }

  atEnd() {
    const { scrollTop, clientHeight, scrollHeight } = this.element;
    return scrollTop + clientHeight >= scrollHeight - this.height;
  }

  show(items, follow = false) {
    this.items = items;
    this.space.style.height = `${items.length * this.height}px`;
    if (follow && this.follows) this.element.scrollTop = items.length * this.height;
    this.paint();
  }

  end() {
    this.follows = true;
    this.show(this.items, true);
  }

  // Draw what is in sight, in lines that are used again.
  paint() {
    const first = Math.max(0, Math.floor(this.element.scrollTop / this.height) - 2);
    const count = Math.min(this.items.length - first, Math.ceil(this.element.clientHeight / this.height) + 4);
    while (this.lines.length < count) {
      const line = document.createElement("div");
      line.role = "option";
      line.id = `${this.element.id}-${this.lines.length}`;
      this.make(line);
      this.lines.push(line);
    }
    let active = "";
    this.lines.forEach((line, number) => {
      if (number >= count) {
        line.remove();
        return;
      }
      if (!line.isConnected) this.space.append(line);
      const index = first + number;
      const item = this.items[index];
      const chosen = this.chosen !== null && this.key(item) === this.chosen;
      line.style.transform = `translateY(${index * this.height}px)`;
      line.dataset.index = index;
      line.ariaSelected = String(chosen);
      line.ariaPosInSet = String(index + 1);
      line.ariaSetSize = String(this.items.length);
      if (chosen) active = line.id;
      this.draw(line, item);
    });
    if (active) this.element.setAttribute("aria-activedescendant", active);
    else this.element.removeAttribute("aria-activedescendant");
  }

  pick(item) {
    this.chosen = item ? this.key(item) : null;
    this.paint();
    this.choose(item ?? null);
  }

  move(step) {
    if (!this.items.length) return;
    let index = this.chosen === null ? -1 : this.items.findIndex((item) => this.key(item) === this.chosen);
    if (index < 0) index = step > 0 ? -1 : this.items.length;
    index = Math.max(0, Math.min(this.items.length - 1, index + step));
    const top = index * this.height;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + this.height > scrollTop + clientHeight) this.element.scrollTop = top + this.height - clientHeight;
    this.pick(this.items[index]);
  }

  typed(event) {
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.height) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in steps && !event.altKey && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      this.move(steps[event.key]);
    }
  }
}
