// What people do in the page, by its test ids, where no Playwright does it for them (test_browsers.py).

class Hands {
  /** What one sees: of a test id, with a text in it, with data attributes. */
  seen(testid, text = "", data = {}) {
    return [...document.querySelectorAll(`[data-testid="${testid}"]`)].filter((node) =>
      node.checkVisibility() && node.textContent.includes(text) &&
      Object.entries(data).every(([name, value]) => node.dataset[name] === value));
  }

  count = (...what) => this.seen(...what).length;

  texts = (...what) => this.seen(...what).map((node) => node.textContent);

  click(testid, text) {
    const [node] = this.seen(testid, text);
    if (!node || node.ariaDisabled === "true") return false;
    node.focus();
    node.click();
    return true;
  }

  fill(testid, value) {
    const [field] = this.seen(testid);
    if (!field) return false;
    field.focus();
    field.value = value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    return true;
  }

  pick(name, type, bytes) {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], name, { type }));
    const picker = document.querySelector("[data-testid=picker]");
    picker.files = data.files;
    picker.dispatchEvent(new Event("change", { bubbles: true }));
  }

  /** Picks a drawing of 2,000 by 1,000 pixels, with enough in it for several chunks. */
  async draw(name, type) {
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: 2_000, height: 1_000 });
    const context = canvas.getContext("2d");
    for (let x = 0; x < 2_000; x += 20) {
      for (let y = 0; y < 1_000; y += 20) {
        context.fillStyle = `hsl(${(x * y) % 360} 90% 50%)`;
        context.fillRect(x, y, 20, 20);
      }
    }
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, type));
    this.pick(name, type, await blob.arrayBuffer());
  }

  /** Connections are back so soon that only the page itself is quick enough to write before. */
  writeWhenOffline(text) {
    const status = document.querySelector("[data-testid=status]");
    const watcher = new MutationObserver(() => {
      if (status.dataset.state === "online") return;
      watcher.disconnect();
      this.fill("composer", text);
      this.click("send");
    });
    watcher.observe(status, { attributes: true, attributeFilter: ["data-state"] });
  }

  pictures = () => [...document.querySelectorAll("[data-testid=picture] img")].map((image) => image.naturalWidth);

  /** What other people's words must never become. */
  intruders = () => document.querySelectorAll("#messages :is(a, img, script, iframe, object, embed)").length;

  address = () => location.href;

  text = () => document.body.innerText;
}
