/* Lets the search run in a hidden frame where pages are opened from files, since browsers start no
   workers there. The search asks for the name IFrameWorker, and for a script[src] in the frame. */
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.appendChild(frame);
      this.inside = frame.contentWindow;
      window.addEventListener("message", (event) => {
        if (event.source === this.inside) {
          event.stopImmediatePropagation();
          this.dispatchEvent(new MessageEvent("message", { data: event.data }));
        }
      });
      const inner = this.inside.document;
      inner.open();
      inner.write("<!doctype html><body></body>");
      inner.close();
      const first = inner.createElement("script");
      first.text =
        "window.postMessage = (data) => parent.postMessage(data, '*');" +
        "window.importScripts = (...urls) => urls.reduce((done, url) => done.then(() =>" +
        "  new Promise((loaded) => {" +
        "    const script = document.createElement('script');" +
        "    script.src = url; script.onload = loaded; document.body.appendChild(script);" +
        "  })), Promise.resolve());";
      this.send = this.inside.postMessage.bind(this.inside);
      inner.body.appendChild(first);
      this.ready = new Promise((loaded) => {
        const script = inner.createElement("script");
        script.src = url;
        script.onload = loaded;
        inner.body.appendChild(script);
      });
    }

    postMessage(data) {
      this.ready.then(() => this.send(data, "*"));
    }

    terminate() {}
  };
  window.Worker = window.IFrameWorker;
}
