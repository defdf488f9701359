// Tells a person's press from a script's: browsers mark real presses as trusted. Without this the form works all the same.
for (const form of document.forms) if (form.elements.press) form.elements.press.value = "script";
document.addEventListener("click", (event) => {
  const button = event.target.closest && event.target.closest("button[name=action]");
  if (button && event.isTrusted && button.form.elements.press) button.form.elements.press.value = "trusted";
}, true);
