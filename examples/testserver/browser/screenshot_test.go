package browser_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/stayauth/stayauth/testserver"
)

// The pictures of the README.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		t.Skip("SCREENSHOTS names no folder for the pictures")
	}
	w := newServer(t, &testserver.Server{TTL: 9 * time.Second})
	for _, user := range []string{"alice", "bob", "carol"} {
		w.traffic(user, 3, 500*time.Millisecond)
	}
	tabs := map[string]*tab{}
	for name, l := range map[string]look{
		"page-light": desktop, "page-dark": {width: 1240, height: 1000, dark: true},
		"phone-light": {width: 360, height: 760}, "phone-dark": {width: 360, height: 760, dark: true},
	} {
		tabs[name] = open(t, w.page, l)
	}
	time.Sleep(16 * time.Second) // the pictures show the past
	tb := tabs["page-light"]
	tb.set("#token-delay", "1000")
	time.Sleep(300 * time.Millisecond)
	tb.click("[data-user=alice] [data-do=revoke]")
	time.Sleep(2500 * time.Millisecond)
	tb.click("#heal")
	tb.click("[data-user=carol] [data-do=revoke]")
	time.Sleep(1500 * time.Millisecond)
	for name, tb := range tabs {
		eval[any](tb, "scrollTo(0, 0)")
		tb.save(filepath.Join(dir, name+".png"), chromedp.CaptureScreenshot())
		tb.save(filepath.Join(dir, name+"-full.png"), chromedp.FullScreenshot(100))
	}
}

func (tb *tab) save(path string, picture chromedp.Action[[]byte]) {
	if err := os.WriteFile(path, get(tb, picture), 0o644); err != nil {
		tb.t.Fatal(err)
	}
}
