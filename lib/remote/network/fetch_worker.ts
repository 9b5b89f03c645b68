/** The fetch Worker: an isolate that has the network and nothing else (`fetch_service.ts`). @module */
import { answerThread } from "../../host/threads/mod.ts";
import type { Begin, FromFetcher, ToFetcher } from "./fetch_messages.ts";
import { FetchService } from "./fetch_service.ts";

let service: FetchService | null = null;

const send = answerThread<Begin | ToFetcher, FromFetcher>((message) => {
  if (message.kind !== "begin") return service?.receive(message);
  // Only the first one counts: it comes from whoever started this, before anybody else can send anything.
  service ??= new FetchService(send, message);
});
