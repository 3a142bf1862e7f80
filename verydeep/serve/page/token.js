// The form where the user enters the token of a server that wants one.

import {byId, say} from "./elements.js";
import {hasToken, onTokenWanted, setToken} from "./server.js";

// Show the form, and promise what is entered.
function entered(refused) {
  byId("detail").close();  // the form would lie behind it
  say("");
  byId("token-fault").textContent = refused ? "The server refuses this token." : "";
  byId("token").hidden = false;
  byId("forget").hidden = true;
  byId("secret").value = "";
  byId("secret").focus();
  return new Promise((done) => {
    byId("token").addEventListener("submit", (event) => {
      event.preventDefault();
      byId("token").hidden = true;
      byId("forget").hidden = false;
      done(byId("secret").value.trim());
    }, {once: true});
  });
}

export function useToken() {
  onTokenWanted(entered);
  byId("forget").hidden = !hasToken();
  byId("forget").addEventListener("click", () => {
    setToken(null);
    byId("forget").hidden = true;
    say("The token is forgotten.");
  });
}
