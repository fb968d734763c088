// Package browser_test looks at the test server's page with a real browser, Chromium. Where there
// is none its tests are skipped, and say so.
//
// With SCREENSHOTS=dir TestScreenshots writes the pictures of the README there.
package browser_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// patience is how long a test waits for what must come. Nothing is expected to take as long: it is
// there so that what never comes ends.
const patience = 60 * time.Second

var browser context.Context // with one empty tab; nil: there is none here

const missing = "NOT RUN: there is no Chromium here (Debian: apt-get install chromium)"

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		return m.Run()
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium does not start as root otherwise
	}
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...) // with a fresh profile
	defer cancel()
	browser, cancel = chromedp.NewContext(allocator)
	defer cancel()
	if err := chromedp.Do(browser); err != nil {
		fmt.Fprintf(os.Stderr, "%s does not start: %v\n", path, err)
		return 1
	}
	return m.Run()
}

// A tab is one page in a profile of its own.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu    sync.Mutex     // guards the fields below
	wrong []string       // what the page has said on its console
	may   *regexp.Regexp // what it may say; nil: nothing
}

// A look is how a tab shows a page.
type look struct {
	width, height int64
	dark          bool
}

var desktop = look{width: 1240, height: 1000}

// open shows a page. The test fails if the page says an error on the console, which is also where
// the browser tells that the page's policy has kept something away.
func open(t *testing.T, url string, l look) *tab {
	t.Helper()
	if browser == nil {
		t.Skip(missing)
	}
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 3*patience)
	t.Cleanup(cancel)
	tb := &tab{t: t, ctx: ctx}
	messages := chromedp.Console(ctx)
	go func() { // ends with ctx
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.IsException() || m.Type == "error" || m.Type == "warning" {
				tb.mu.Lock()
				tb.wrong = append(tb.wrong, fmt.Sprintf("%s (%s:%d)", m, m.URL, m.Line+1))
				tb.mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() {
		tb.mu.Lock()
		defer tb.mu.Unlock()
		for _, wrong := range tb.wrong {
			if tb.may == nil || !tb.may.MatchString(wrong) {
				t.Errorf("the page is not silent:\n%s", wrong)
			}
		}
	})
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, media); err != nil {
		t.Fatalf("the browser: %v", err)
	}
	tb.run(chromedp.EmulateViewport(l.width, l.height), chromedp.Navigate(url))
	return tb
}

// maySay tells which errors and warnings on the console are in order. They come when they come.
func (tb *tab) maySay(pattern string) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.may = regexp.MustCompile(pattern)
}

func (tb *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	tb.t.Helper()
	if err := chromedp.Do(tb.ctx, actions...); err != nil {
		tb.t.Fatalf("the browser: %v", err)
	}
}

// get runs an action and returns its value.
func get[T any](tb *tab, action chromedp.Action[T]) T {
	tb.t.Helper()
	v, err := chromedp.Run(tb.ctx, action)
	if err != nil {
		tb.t.Fatalf("the browser: %v", err)
	}
	return v
}

// eval returns the value of an expression in the page.
func eval[T any](tb *tab, expression string) T {
	tb.t.Helper()
	return get(tb, chromedp.Evaluate[T](expression))
}

// until waits until an expression in the page is true.
func (tb *tab) until(what, expression string) {
	tb.t.Helper()
	for end := time.Now().Add(patience); ; {
		if eval[bool](tb, expression) {
			return
		}
		if time.Now().After(end) {
			tb.t.Fatalf("it never came that %s; the page says:\n%s", what, eval[string](tb, "document.body.innerText"))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// click clicks an element where a mouse would hit it. It looks and clicks at one moment: the page
// moves while it fills, and a click at where an element was a moment ago hits another.
func (tb *tab) click(selector string) {
	tb.t.Helper()
	tb.until(selector+" can be clicked", fmt.Sprintf(`(() => {
		const e = document.querySelector(%q);
		if (!e || e.disabled) return false;
		e.scrollIntoView({block: "center"});
		const r = e.getBoundingClientRect();
		const hit = document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2);
		if (!e.contains(hit)) return false;
		e.click();
		return true;
	})()`, selector))
}

// set chooses a value of a select or an input, as a person does.
func (tb *tab) set(selector, value string) {
	tb.t.Helper()
	eval[any](tb, fmt.Sprintf(`(() => { const e = document.querySelector(%q); e.value = %q; e.dispatchEvent(new Event("change", {bubbles: true})); })()`, selector, value))
}
