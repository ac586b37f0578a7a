const query = new URLSearchParams({
  prompt: "How is the weather in Oslo?",
  key: crypto.randomUUID(), // a repeated first request starts no second run
});
const source = new EventSource(`/stream?${query}`);

source.onmessage = ({ data }) => {
  const event = JSON.parse(data);
  if (event.type === "text-delta") document.body.append(event.delta);
  if (event.type === "run-finish" || event.type === "error") source.close();
};
