// Copying a text, and saying that it was copied.
import { h } from "../lib/dom.js";
import { icon } from "./icon.js";
import { notice } from "./notice.js";

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    notice(`Copied ${what}`);
  } catch {
    // Browsers give the clipboard to pages from this machine or over TLS only.
    notice("The browser does not let this page copy: select the text instead", "bad");
  }
}

/** A button that copies a text. */
export const copyButton = (text, what, label) =>
  h(
    "button",
    {
      type: "button",
      class: label ? "button" : "button bare",
      title: `Copy ${what}`,
      "aria-label": label ? undefined : `Copy ${what}`,
      onclick: () => copy(text, what),
    },
    icon("copy"),
    label,
  );
