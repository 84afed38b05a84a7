// An agent loop that asks the ledger before each call and records what the call used.
//
// Run `usage-ledger serve`, then this file with the addresses of the ledger and of a server with the API of OpenAI.
const [ledger, modelServer] = process.argv.slice(2);

async function send(url: string, body?: object): Promise<any> {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(url, body && { method: "POST", headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

for (const prompt of ["Plan the work.", "Do it.", "Review it."]) {
  const gate = `${ledger}/api/v1/gate?provider=openai&model=gpt-5`;
  let verdict = await send(gate);
  while (verdict.gated) {
    console.log("waiting:", verdict.reason);
    await new Promise((resolve) => setTimeout(resolve, 60_000));
    verdict = await send(gate);
  }
  const messages = [{ role: "user", content: prompt }];
  const response = await send(`${modelServer}/v1/chat/completions`, { model: "gpt-5", messages });
  // The response's own id is the key, so a repeated request records the call once. The ledger keeps no text.
  const { choices, ...rest } = response;
  const call = { format: "openai-chat", response: rest, agent: "my-agent", project: "acme" };
  const receipt = await send(`${ledger}/api/v1/record`, call);
  console.log(verdict.mode, response.usage.total_tokens, "tokens at position", receipt.positions[0]);
}
