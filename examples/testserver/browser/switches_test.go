package browser_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/testserver"
)

// generate makes a token with the page and returns it.
func (tb *tab) generate(user, form string) string {
	tb.t.Helper()
	before := eval[string](tb, `document.querySelector("#gen-token").value`)
	tb.set("#gen-user", user)
	tb.set("#gen-validity", "300000")
	tb.set("#gen-form", form)
	tb.click("#generator button")
	tb.until("the token is there", `![`+"`"+before+"`"+`, ""].includes(document.querySelector("#gen-token").value)`)
	return eval[string](tb, `document.querySelector("#gen-token").value`)
}

// The generator's token works, and is seen nowhere else.
func TestGenerator(t *testing.T) {
	w := newServer(t, &testserver.Server{})
	tb := open(t, w.page, desktop)
	token := tb.generate("dave", "token")
	if status := w.post(token, "1"); status != 201 {
		t.Errorf("a request with the token: status %d, want 201", status)
	}
	tb.until("the token is in the table", `/dave.*valid/.test(document.querySelector("#tokens tbody").innerText.replace(/\s+/g, " "))`)
	if html := eval[string](tb, "document.documentElement.outerHTML"); strings.Contains(html, token) {
		t.Error("the token is in the HTML of the page")
	}
	tb.click("#gen-hide")
	if value := eval[string](tb, `document.querySelector("#gen-token").value`); value != "" {
		t.Errorf("hidden, it is still there: %q", value)
	}
}

func TestGeneratorOfGuard(t *testing.T) {
	w := newGuard(t, &testserver.Guard{})
	tb := open(t, w.page, desktop)
	token := tb.generate("dave", "token")
	if status := w.post(token, "1"); status != 200 {
		t.Errorf("a request with the token: status %d, want 200", status)
	}
	if status := w.refresh(tb.generate("dave", "refresh")); status != 200 {
		t.Errorf("a refresh with the refresh token: status %d, want 200", status)
	}
}

// The toggle of Stream's dashboard: while auth checks are disabled, developer tokens are accepted.
func TestDisableAuthChecks(t *testing.T) {
	w := newServer(t, &testserver.Server{})
	tb := open(t, w.page, desktop)
	token := tb.generate("dave", "developer")
	if status := w.post(token, "1"); status != 401 {
		t.Errorf("a developer token under auth checks: status %d, want 401", status)
	}
	tb.until("it is rejected for its signature", `/dave.*wrong signature/.test(document.querySelector("#tokens tbody").innerText.replace(/\s+/g, " "))`)
	tb.click("#auth-off")
	tb.until("they are disabled", `document.querySelector("#said").textContent.startsWith("Auth checks are disabled")`)
	if status := w.post(token, "2"); status != 201 {
		t.Errorf("a developer token without auth checks: status %d, want 201", status)
	}
	tb.until("it is valid", `/dave.*valid/.test(document.querySelector("#tokens tbody").innerText.replace(/\s+/g, " "))`)
	tb.click("#auth-off")
	tb.until("they are enabled", `document.querySelector("#said").textContent.startsWith("Auth checks are enabled")`)
	if status := w.post(token, "3"); status != 401 {
		t.Errorf("a developer token under auth checks again: status %d, want 401", status)
	}
}

// What goes wrong when a switch says so, and no longer when it doesn't.
func TestFaults(t *testing.T) {
	w := newServer(t, &testserver.Server{TTL: time.Hour})
	srv := w.srv.(*testserver.Server)
	tb := open(t, w.page, desktop)
	token := srv.Issue("alice")
	wants := func(when string, post, login int) {
		t.Helper()
		if status := w.post(token, ""); status != post {
			t.Errorf("%s: the API answers %d, want %d", when, status, post)
		}
		if status, _ := w.login("bob"); status != login {
			t.Errorf("%s: the token endpoint answers %d, want %d", when, status, login)
		}
	}
	done := func() {
		t.Helper()
		tb.until("it is done", `document.querySelector("#said").textContent !== ""`)
		eval[any](tb, `document.querySelector("#said").textContent = ""`)
	}
	wants("at first", 201, 200)
	tb.click("#api-fails")
	done()
	wants("the API fails", 500, 200)
	tb.click("#token-fails")
	done()
	wants("both fail", 500, 503)
	tb.click("#heal")
	done()
	wants("all is well again", 201, 200)
	tb.until("the switches show it", `!document.querySelector("#api-fails").checked && !document.querySelector("#token-fails").checked`)
	tb.click("#token-dead")
	done()
	_, dead := w.login("bob")
	if status := w.post(dead, ""); status != 401 {
		t.Errorf("a token that is dead on arrival: status %d, want 401", status)
	}
	tb.click("#heal")
	done()
	tb.set("#offset", "7200")
	tb.click("#clock button")
	done()
	if status := w.post(token, ""); status != 401 {
		t.Errorf("a token of an hour, two hours later: status %d, want 401", status)
	}
	tb.until("the token has expired", `/alice.*expired/.test(document.querySelector("#tokens tbody").innerText.replace(/\s+/g, " "))`)
}

// What a person has typed stays, also where another page turns a switch meanwhile.
func TestTyping(t *testing.T) {
	w := newServer(t, &testserver.Server{})
	tb, other := open(t, w.page, desktop), open(t, w.page, desktop)
	tb.set("#offset", "7200")
	other.click("#api-fails")
	tb.until("the other page's switch is shown", `document.querySelector("#api-fails").checked`)
	if typed := eval[string](tb, `document.querySelector("#offset").value`); typed != "7200" {
		t.Errorf("%q stands where 7200 was typed", typed)
	}
	other.set("#offset", "60")
	other.click("#clock button")
	tb.until("the other page's clock is shown", `document.querySelector("#offset").value === "60"`)
}
