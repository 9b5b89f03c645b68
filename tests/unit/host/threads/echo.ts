/** A thread that says that it is there before anything came, says things twice, and dies of "boom". @module */
import { answerThread } from "../../../../lib/host/threads/mod.ts";

const send = answerThread<string, string>((text) => {
  if (text === "boom") throw new Error("boom");
  send(`${text} ${text}`);
});
send("here");
