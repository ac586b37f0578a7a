// Files of results. What is in one is shown only as a picture, and nothing is loaded from elsewhere.

import { short } from "./elements.js";

const PICTURES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);

/** A file as an element: the picture, or what it is called, what it is and how large. */
export function shown({ mediaType, name, data, url }) {
  if (data && PICTURES.has(mediaType)) {
    const picture = document.createElement("img");
    picture.className = "file";
    picture.alt = short(name ?? mediaType);
    picture.src = `data:${mediaType};base64,${data}`;
    return picture;
  }
  const line = document.createElement("p");
  line.className = "file";
  const words = [name, mediaType, data ? size(data) : url];
  line.textContent = words.filter((word) => word).map(short).join(" · ");
  return line;
}

/** Of base64: four characters are three bytes. */
function size(data) {
  const bytes = Math.floor((data.replace(/=+$/, "").length * 3) / 4);
  return bytes < 1024 ? `${bytes} B` : `${(bytes / 1024).toFixed(0)} KiB`;
}
