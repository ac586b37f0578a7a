const query = new URLSearchParams({
  prompt: "How is the weather in Oslo?",
  key: crypto.randomUUID(), // a repeated first request starts no second run
});
const source = new EventSource(`/stream?${query}`);
let step;

source.onmessage = ({ data }) => {
  const event = JSON.parse(data);
  if (event.type === "step-start") document.body.append((step = document.createElement("span")));
  if (event.type === "text-delta") step.append(event.delta);
  if (event.type === "step-discard") step.remove(); // the answer broke off, and comes again
  if (event.type === "run-finish" || event.type === "error") source.close();
};
