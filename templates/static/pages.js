// Tells a person's press from a script's: browsers mark real presses as trusted. Without this the form works all the same.
for (const form of document.forms) if (form.elements.press) form.elements.press.value = "script";
document.addEventListener("click", (event) => {
  const button = event.target.closest && event.target.closest("button[name=action]");
  if (button && event.isTrusted && button.form.elements.press) button.form.elements.press.value = "trusted";
}, true);
// Where the promise and the country let a late visit say yes, the page does; the visitor may take it back with one press.
for (const form of document.querySelectorAll("form[data-automatic]")) {
  form.elements.via.value = "auto";
  form.requestSubmit(form.querySelector("button[value=yes]"));
}
