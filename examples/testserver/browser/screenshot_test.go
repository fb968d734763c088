package browser_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/stayauth/stayauth/testserver"
)

// The pictures of the README: three clients, of which two have been revoked while the token
// endpoint is slow. One of them still waits.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		t.Skip("SCREENSHOTS names no folder for the pictures")
	}
	for name, l := range map[string]look{
		"page-light": {width: 1200, height: 760}, "page-dark": {width: 1200, height: 760, dark: true}, "page-phone": {width: 360, height: 760},
	} {
		g := &gate{}
		w := newServer(t, &testserver.Server{TTL: 11 * time.Second, Fault: g.fault})
		t.Cleanup(g.open)
		tb := open(t, w.page, l)
		for _, user := range []string{"alice", "bob", "carol"} {
			w.traffic(user, 3, 700*time.Millisecond)
			time.Sleep(2500 * time.Millisecond) // so that their tokens don't end together
		}
		time.Sleep(9 * time.Second) // the picture shows the past
		tb.set("#token-delay", "1000")
		tb.click("[data-user=bob] [data-do=revoke]")
		time.Sleep(5 * time.Second)
		g.close()
		tb.click("[data-user=alice] [data-do=revoke]")
		tb.until("alice waits", state+`.startsWith("waiting")`)
		time.Sleep(2 * time.Second)
		eval[any](tb, `scrollTo(0, 0); document.activeElement.blur(); document.querySelector("#said").textContent = ""`)
		tb.run(chromedp.Sleep(300 * time.Millisecond))
		picture := get(tb, chromedp.CaptureScreenshot())
		if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644); err != nil {
			t.Fatal(err)
		}
		if len(picture) > 200<<10 {
			t.Errorf("%s.png has %d bytes: too many for a README", name, len(picture))
		}
	}
}
