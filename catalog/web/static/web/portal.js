// Small comforts. Every page works without them, but the live build and the copy buttons.
(() => {
  "use strict";

  const toggle = (button) => {
    const body = document.querySelector(button.dataset.toggle);
    const open = body.classList.toggle("open");
    button.setAttribute("aria-expanded", String(open));
  };

  const copyText = async (text) => {
    if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
    // Plain http on an internal network has no clipboard interface.
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "visually-hidden";
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  };

  const copy = async (button) => {
    await copyText(button.dataset.copy);
    const word = button.querySelector(".visually-hidden");
    const before = word.textContent;
    button.classList.add("copied");
    word.textContent = button.dataset.copied;
    setTimeout(() => { button.classList.remove("copied"); word.textContent = before; }, 1600);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-toggle], [data-copy]");
    if (!button) return;
    if (button.dataset.toggle) toggle(button); else copy(button);
  });

  document.addEventListener("keydown", (event) => {
    const open = event.key === "Escape" && document.querySelector(".side-body.open");
    if (!open) return;
    const button = document.querySelector("[data-toggle='#side-body']");
    toggle(button);
    button.focus();
  });

  // A form is sent once, however often its button is pressed. The server holds against it as well.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.sure && !form.dataset.sent && !window.confirm(form.dataset.sure)) {
      event.preventDefault();
      return;
    }
    if (!("once" in form.dataset)) return;
    if (form.dataset.sent) { event.preventDefault(); event.stopImmediatePropagation(); return; }
    form.dataset.sent = "yes";
  }, true);

  // Back from the next page, the form may be sent again.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) document.querySelectorAll("form[data-sent]").forEach((form) => { delete form.dataset.sent; });
  });

  // Changing the project shows that affiliate's quota.
  document.addEventListener("change", (event) => {
    if (event.target.name !== "project" || !event.target.closest("#order-form")) return;
    document.querySelector(".plan[aria-current]")?.click();
  });

  // The bar moves between two answers of the server, by the server's clock.
  const tick = () => {
    document.querySelectorAll("progress[data-began]").forEach((bar) => {
      if (!bar.dataset.zero) {
        const gone = Date.parse(bar.dataset.now) - Date.parse(bar.dataset.began);
        bar.dataset.zero = String(Date.now() - gone);
      }
      const seconds = (Date.now() - Number(bar.dataset.zero)) / 1000;
      bar.value = Math.min(bar.max * 0.95, seconds);
    });
  };
  if (document.querySelector("#poller")) setInterval(tick, 500);

  // The log stays at its end, unless somebody has scrolled up to read.
  document.querySelectorAll("[data-follow]").forEach((pane) => {
    let atEnd = true;
    pane.addEventListener("scroll", () => { atEnd = pane.scrollHeight - pane.scrollTop - pane.clientHeight < 24; });
    const follow = () => { if (atEnd) pane.scrollTop = pane.scrollHeight; };
    new MutationObserver(follow).observe(pane, { childList: true, subtree: true });
    follow();
  });

  const lost = (hidden) => { const notice = document.querySelector("#offline"); if (notice) notice.hidden = hidden; };
  document.addEventListener("htmx:sendError", () => lost(false));
  document.addEventListener("htmx:responseError", () => lost(false));
  document.addEventListener("htmx:afterOnLoad", () => lost(true));

  document.querySelector("[data-focus]")?.focus();
})();
