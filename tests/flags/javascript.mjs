// A program as people write it for Node.js: the official SDK with the official provider, one line of JSON per answer.
import { OpenFeature } from "@openfeature/server-sdk";
import { OFREPProvider } from "@openfeature/ofrep-provider";

const [baseUrl, token, wrongToken] = process.argv.slice(2);
const say = (name, { value, reason, variant, errorCode, flagMetadata }) =>
  console.log(JSON.stringify({ name, value, reason, variant, errorCode, flagMetadata }));

async function clientWith(text, domain) {
  const headers = [["Authorization", `Bearer ${text}`]];
  await OpenFeature.setProviderAndWait(domain, new OFREPProvider({ baseUrl, headers }));
  return OpenFeature.getClient(domain);
}

const client = await clientWith(token, "flags");
const ann = { targetingKey: "ann", plan: "pro" };
say("on", await client.getBooleanDetails("on", false));
say("killed", await client.getBooleanDetails("killed", true));
say("disabled", await client.getBooleanDetails("disabled", true));
say("dotted", await client.getBooleanDetails("dotted.key-1_x", false));
say("ruled", await client.getStringDetails("colour", "none", ann));
say("otherwise", await client.getStringDetails("colour", "none", { targetingKey: "ben" }));
say("integer", await client.getNumberDetails("limit", 1));
say("float", await client.getNumberDetails("ratio", 1));
say("object", await client.getObjectDetails("theme", {}));
say("split", await client.getBooleanDetails("split", false, ann));
say("nobody", await client.getBooleanDetails("split", true));
say("unknown", await client.getBooleanDetails("nope", true));
say("mistyped", await client.getBooleanDetails("colour", true, ann));
say("refused", await (await clientWith(wrongToken, "refused")).getBooleanDetails("on", false));
