
"use strict";
for (const picture of document.querySelectorAll("section.picture")) {
  const stacks = [...picture.querySelectorAll(".figures .stack")];
  if (matchMedia("(hover: hover)").matches) {
    const lenses = stacks.map((stack) => {
      const lens = document.createElement("div");
      lens.className = "lens";
      lens.hidden = true;
      stack.append(lens);
      return lens;
    });
    const show = (event) => {
      const under = event.currentTarget.getBoundingClientRect();
      const across = (event.clientX - under.left) / under.width;
      const down = (event.clientY - under.top) / under.height;
      stacks.forEach((stack, index) => {
        const image = stack.querySelector("img"), lens = lenses[index];
        const width = Math.max(3 * stack.clientWidth, 2 * image.naturalWidth);
        const height = (width * stack.clientHeight) / stack.clientWidth;
        lens.hidden = false;
        lens.style.left = across * stack.clientWidth + "px";
        lens.style.top = down * stack.clientHeight + "px";
        if (!lens.style.backgroundImage) lens.style.backgroundImage = `url("${image.src}")`;
        lens.style.backgroundSize = `${width}px ${height}px`;
        lens.style.backgroundPosition =
          `${lens.clientWidth / 2 - across * width}px ${lens.clientHeight / 2 - down * height}px`;
      });
    };
    for (const stack of stacks) {
      stack.addEventListener("pointermove", show);
      stack.addEventListener("pointerleave", () => lenses.forEach((lens) => { lens.hidden = true; }));
    }
  }
  const compare = picture.querySelector(".compare");
  if (compare) {
    const [below, above] = compare.querySelectorAll("img");
    below.src = picture.querySelector("img.original").src;
    above.src = picture.querySelector("img.overlay").src;
    const slider = compare.querySelector("input");
    const cut = () => { above.style.clipPath = `inset(0 0 0 ${slider.value}%)`; };
    slider.addEventListener("input", cut);
    cut();
    compare.hidden = false;
  }
}
for (const hint of document.querySelectorAll(".needs-script")) hint.hidden = false;
