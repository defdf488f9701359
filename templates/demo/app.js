// The demo's inbox. Everything shown comes from JSON and goes into the page as text, never as markup.
const $ = (id) => document.getElementById(id);
const EVERY_MS = 1500;
const STATES = {
  none: ["calm", "Not asked", "No ask stands in this email; “Left out, and why” says what kept it out."],
  asked: ["ask", "Asked, no answer yet", "Open the link in the email, and press the button there. Watch this line change."],
  pending: ["wait", "One step left", "The press could not be told from a script’s, or the country wants a second step: the confirmation mail is in this inbox."],
  granted: ["good", "Yes", "The customer pressed the button. The entry below holds exactly which words were shown."],
  refused: ["bad", "No", "The customer said no, and is not asked again for this."],
  withdrawn: ["bad", "Left", "The customer left. No ask goes to this address any more."],
  objected: ["bad", "Do not ask", "The customer does not want to be asked. No ask goes to this address any more."],
  lapsed: ["calm", "Lapsed", "The second step never came."],
  voided: ["calm", "Voided", "Somebody else pressed: this does not count."],
  erased: ["calm", "Erased", "Nothing is held of this customer any more."],
};
const SENT_AGAIN = "The same order is sent again through the API, as a new customer of that country.";
const state = { mails: [], tag: "", id: "", detailTag: "", detail: null, tab: "html", samples: [], shown: "" };

function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") node.className = value;
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}
const said = (name) => STATES[name] || ["calm", name, ""];
const words = (text) => String(text || "").replaceAll("_", " ");
const web = (url) => (/^https?:\/\//.test(url || "") ? url : null);

function when(ms, long = false) {
  const date = new Date(ms), today = new Date().toDateString() === date.toDateString();
  if (long) return date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
  return today ? date.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" }) : date.toLocaleDateString(undefined, { day: "numeric", month: "short" });
}
function initials(name) {
  return name.split(/[^\p{L}]+/u).filter(Boolean).slice(0, 2).map((part) => part[0].toUpperCase()).join("");
}
async function post(url, body) {
  const response = await fetch(url, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const answer = await response.json();
  return response.ok ? answer : { status: response.status, mail: "", answer };
}

async function poll() {
  if (document.hidden) return;
  const response = await fetch("/demo/inbox", { headers: state.tag ? { "If-None-Match": state.tag } : {}, cache: "no-store" });
  if (response.status === 200) {
    state.tag = response.headers.get("ETag") || "";
    const answer = await response.json();
    state.mails = answer.mails; state.detailTag = "";
    drawList();
    fillShops(answer.shops);
    if (!state.id && state.mails.length && innerWidth > 719) open((state.mails.find((mail) => mail.asks && mail.type === "order_confirmation") || state.mails[0]).id, false);
  }
  if (state.id) await loadDetail();
}
function drawList() {
  const focused = document.activeElement?.closest("#list button")?.dataset.id;
  $("empty").hidden = state.mails.length > 0;
  $("list").replaceChildren(...state.mails.map((mail) => {
    const [tone, label] = said(mail.state);
    const button = el("button", { type: "button", "data-id": mail.id, "aria-current": String(mail.id === state.id) },
      el("span", { class: "face", "aria-hidden": "true", "data-shop": mail.shop, "data-kind": mail.kind }, mail.kind === "confirmation" ? "✓" : initials(mail.shop_name)),
      el("span", { class: "top" }, el("strong", {}, mail.shop_name), el("time", { datetime: new Date(mail.at).toISOString() }, when(mail.at))),
      el("span", { class: "title" }, mail.subject),
      el("span", { class: "bottom" }, el("span", { class: "chip", "data-tone": tone }, label.split(",")[0]), el("span", {}, [mail.kind === "confirmation" ? "our confirmation mail" : "", mail.country, mail.to].filter(Boolean).join(" · "))));
    return el("li", {}, button);
  }));
  if (focused) document.querySelector(`#list button[data-id="${focused}"]`)?.focus();
}
async function open(id, moves = true) {
  state.id = id; state.detailTag = ""; state.detail = null;
  if (moves) { document.body.dataset.view = "mail"; history.replaceState(null, "", `#${id}`); $("told").textContent = SENT_AGAIN; }
  for (const button of document.querySelectorAll("#list button")) button.setAttribute("aria-current", String(button.dataset.id === id));
  await loadDetail();
  if (moves && innerWidth <= 719) { tab("html"); $("back").focus(); }
}
async function loadDetail() {
  const id = state.id;
  const response = await fetch(`/demo/mails/${id}`, { headers: state.detailTag ? { "If-None-Match": state.detailTag } : {}, cache: "no-store" });
  if (response.status !== 200 || id !== state.id) return;
  state.detailTag = response.headers.get("ETag") || "";
  const before = state.detail?.id === id ? state.detail.state : null;
  state.detail = await response.json();
  drawMail(before !== null && before !== state.detail.state);
}
function drawMail(changed) {
  const mail = state.detail, [tone, label, meant] = said(mail.state);
  const sentence = mail.state === "asked" && !mail.asks ? "Another email of this company asked; this one does not ask again." : meant;
  $("none").hidden = true; $("reader").hidden = false; $("why").hidden = false;
  $("subject").textContent = mail.subject;
  $("from").textContent = mail.sender.replace(/\s*<[^>]*>$/, "") || mail.sender; $("to").textContent = `to ${mail.to}`;
  $("when").textContent = when(mail.at); $("when").dateTime = new Date(mail.at).toISOString();
  Object.assign($("face").dataset, { shop: mail.shop, kind: mail.kind });
  $("face").textContent = mail.kind === "confirmation" ? "✓" : initials(mail.shop_name);
  if (state.shown !== mail.id) {
    state.shown = mail.id;
    $("frame").src = `/demo/mails/${mail.id}/html`;
    fetch(`/demo/mails/${mail.id}/text`).then((answer) => answer.text()).then((text) => { $("plain").textContent = text; });
    $("soft").checked = mail.soft_opt_in;
  }
  $("strip").replaceChildren(el("span", { class: "chip", "data-tone": tone }, label), el("span", {}, mail.purpose ? `for “${words(mail.purpose)}”` : mail.kind === "email" ? "no ask in this email" : ""));
  drawStatus(mail, tone, label, sentence);
  for (const box of [$("strip"), $("status")]) { box.classList.remove("changed"); if (changed) { void box.offsetWidth; box.classList.add("changed"); } }
  $("countries").hidden = !Object.keys(mail.countries).length;
  $("segments").replaceChildren(...Object.entries(mail.countries).map(([code, name]) =>
    el("button", { type: "button", "data-country": code, title: name, "aria-pressed": String(code === mail.country) }, code)));
  rows("placements", mail.placements, "Nothing was added to this email.", (one) => [
    el("div", { class: "head" }, el("span", { class: "chip", "data-tone": one.purpose ? "ask" : "calm" }, one.purpose ? "ask" : words(one.slot)), el("strong", {}, one.block)),
    el("small", {}, [`slot ${one.slot}`, `version ${one.version}`, `variant ${one.variant}`, one.purpose ? `subscription “${one.purpose}”` : ""].filter(Boolean).join(" · ")),
    one.url && web(one.url) ? el("a", { href: one.url, target: "_blank", rel: "noopener" }, "the link in the email") : null]);
  rows("skipped", byWeight(mail.skipped), "Nothing was left out.", (one) => [
    el("div", { class: "head" }, el("span", { class: "chip", "data-tone": "wait" }, words(one.reason)), el("strong", {}, one.block), el("span", {}, `in ${one.slot}`)), el("small", {}, one.remedy)]);
  rows("warnings", mail.warnings, "Everything that was sent could be used.", fault);
  const facts = { "Composed": when(mail.at, true), "From": mail.sender, "Type": words(mail.type), "Language": mail.locale, "Country": mail.country, "Message": mail.id, "In a terminal": `handraiser why ${mail.id}` };
  if (mail.kind === "confirmation") delete facts["In a terminal"];
  $("facts").replaceChildren(...Object.entries(facts).filter(([, value]) => value).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, name === "Message" || name === "In a terminal" ? el("code", {}, value) : value)]));
}
// What was decided comes first; blocks that belong into other emails come last.
function byWeight(skipped) {
  return [...skipped].sort((one, other) => (one.reason === "touchpoint") - (other.reason === "touchpoint"));
}
function drawStatus(mail, tone, label, sentence) {
  const entries = mail.entries.map((one) => el("li", {}, el("strong", {}, words(one.event)), one.purpose ? ` “${words(one.purpose)}”` : "",
    el("small", {}, [when(one.at, true), one.how].filter(Boolean).join(" · ")), one.words ? el("small", {}, `Words shown: “${one.words}”`) : null));
  $("status").replaceChildren(el("h3", {}, "Customer’s status"),
    el("div", { class: "now" }, el("span", { class: "dot", "data-tone": tone }), el("div", {}, el("strong", { id: "state", "data-state": mail.state }, label), el("p", {}, sentence),
      ...steps(mail))));
  if (entries.length) $("status").append(el("ol", { "aria-label": "Ledger, oldest first" }, ...entries));
}
function steps(mail) {
  const second = mail.kind === "email" && mail.state === "pending" ? state.mails.find((one) => one.kind === "confirmation" && one.to === mail.to && one.purpose === mail.purpose && one.shop === mail.shop) : null;
  if (second) return [el("button", { type: "button", class: "go", "data-open": second.id }, "Open the confirmation mail")];
  if (!web(mail.ask_url) || !["asked", "pending"].includes(mail.state)) return [];
  const link = el("a", { class: "go", href: mail.ask_url, target: "_blank", rel: "noopener" }, "Open the link as the customer");
  if (mail.kind !== "email" || mail.state !== "asked") return [link];
  return [link, el("p", { class: "or" }, "Half or more of the clicks in receipts are machines. ", el("button", { type: "button", class: "link", id: "script" }, "Let a script press the button"))];
}
function fault(one) {
  return [el("div", { class: "head" }, el("span", { class: "chip", "data-tone": "wait" }, words(one.code)), el("code", {}, one.pointer || "/")), el("small", {}, one.detail)];
}
function rows(id, list, nothing, draw) {
  $(id).replaceChildren(...(list?.length ? list.map((one) => el("li", {}, ...draw(one))) : [el("li", { class: "nothing" }, nothing)]));
}
function tab(name) {
  state.tab = name; document.body.dataset.tab = name;
  for (const button of document.querySelectorAll("[data-tab][role=tab]")) button.setAttribute("aria-selected", String(button.dataset.tab === name));
  $("frame").hidden = name === "text"; $("plain").hidden = name !== "text";
}
async function live(country, fresh) {
  const mail = state.detail;
  for (const button of $("segments").children) button.disabled = true;
  $("told").textContent = "Sending …";
  const answer = await post(`/demo/mails/${mail.id}/country`, { country, soft_opt_in: $("soft").checked, fresh });
  const soft = $("soft").checked;
  if (answer.mail) {
    await poll(); await open(answer.mail, false); $("soft").checked = soft;
    history.replaceState(null, "", `#${answer.mail}`);
    const ask = state.detail.placements.find((one) => one.purpose), gone = byWeight(state.detail.skipped).find((one) => one.slot === "ask");
    $("told").textContent = ask ? `${country}: the ask is there, in slot “${ask.slot}”.` : gone ? `${country}: no ask, because of the ${words(gone.reason)}: ${gone.remedy}.` : `${country}: no ask in this email.`;
  } else { $("told").textContent = answer.answer.detail || "That did not work."; drawMail(false); }
  for (const button of $("segments").children) button.disabled = false;
}
function fillShops(shops) {
  if ($("own-shop").options.length) return;
  $("own-shop").replaceChildren(...Object.entries(shops).map(([slug, name]) => el("option", { value: slug }, name)));
}
async function openOwn() {
  if (!state.samples.length) {
    state.samples = await (await fetch("/demo/samples")).json();
    $("own-sample").replaceChildren(...state.samples.map((one, index) => el("option", { value: index }, one.title)));
    const first = Math.max(0, state.samples.findIndex((one) => one.name.endsWith("us-order")));
    $("own-sample").value = first;
    takeSample(first);
  }
  $("own").showModal();
}
function takeSample(index) {
  const sample = state.samples[index];
  $("own-text").value = JSON.stringify(sample.payload, null, 2);
  $("own-shop").value = sample.shop;
}
async function sendOwn() {
  $("own-send").disabled = true; $("own-show").hidden = true; $("own-said").textContent = "Composing …"; $("own-faults").replaceChildren();
  try {
    const answer = await post("/demo/orders", { shop: $("own-shop").value, order: $("own-text").value });
    const faults = answer.mail ? answer.answer.warnings : answer.answer.errors || [];
    $("own-said").textContent = answer.mail ? (faults.length ? `Composed, with ${faults.length} ${faults.length === 1 ? "warning" : "warnings"}.` : "Composed. Nothing was wrong with it.") : `Refused (${answer.status}). ${answer.answer.detail || answer.answer.title || ""}`;
    if (faults.length) rows("own-faults", faults, "", fault);
    $("own-show").hidden = !answer.mail; $("own-show").dataset.id = answer.mail;
    if (answer.mail) await poll();
  } catch { $("own-said").textContent = "The service does not answer."; }
  $("own-send").disabled = false;
}
function theme(next) {
  if (next) localStorage.setItem("theme", next);
  const chosen = localStorage.getItem("theme") || "auto";
  if (chosen === "auto") delete document.documentElement.dataset.theme; else document.documentElement.dataset.theme = chosen;
  const [sign, word] = { auto: ["◐", "Auto"], light: ["○", "Light"], dark: ["●", "Dark"] }[chosen];
  $("theme").replaceChildren(sign, el("span", {}, ` ${word}`));
  $("theme").setAttribute("aria-label", `Colours: ${chosen}`);
  return chosen;
}

$("list").addEventListener("click", (event) => { const button = event.target.closest("button"); if (button) open(button.dataset.id); });
$("back").addEventListener("click", () => { document.body.dataset.view = "list"; tab("html"); document.querySelector(`#list button[data-id="${state.id}"]`)?.focus(); });
document.querySelector(".tabs").addEventListener("click", (event) => { const button = event.target.closest("button"); if (button) tab(button.dataset.tab); });
$("segments").addEventListener("click", (event) => { const button = event.target.closest("button"); if (button) live(button.dataset.country, false); });
$("status").addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.open) { open(button.dataset.open); return; }
  button.disabled = true;
  await post(`/demo/mails/${state.detail.id}/script`, {});
  await poll();
  button.disabled = false;
});
$("soft").addEventListener("change", () => live(state.detail.country in state.detail.countries ? state.detail.country : "NL", false));
$("fresh").addEventListener("click", () => live(state.detail.country in state.detail.countries ? state.detail.country : "US", true));
$("theme").addEventListener("click", () => theme({ auto: "dark", dark: "light", light: "auto" }[theme()]));
$("open-own").addEventListener("click", openOwn);
$("own-sample").addEventListener("change", () => takeSample($("own-sample").value));
$("own-send").addEventListener("click", sendOwn);
$("own-show").addEventListener("click", () => { $("own").close(); open($("own-show").dataset.id); });
document.addEventListener("visibilitychange", () => { if (!document.hidden) poll().catch(() => {}); });

theme(); tab("html"); $("told").textContent = SENT_AGAIN;
if (/^#[0-9a-f-]{36}$/.test(location.hash)) { document.body.dataset.view = "mail"; state.id = location.hash.slice(1); }
async function forever() { try { await poll(); } catch { /* the service restarts; the next poll finds it */ } setTimeout(forever, EVERY_MS); }
forever();
