package browser_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// The commands of the README, as a person runs them who then opens the page and presses Revoke.
func TestCommands(t *testing.T) {
	if browser == nil {
		t.Skip(missing)
	}
	for _, tt := range []struct {
		name, program string
		args          []string
	}{
		{"server", "testserver", []string{"-addr", "127.0.0.1:0", "-page", "-page-addr", "127.0.0.1:0", "-demo"}},
		{"guard", "testserver", []string{"-addr", "127.0.0.1:0", "-page", "-page-addr", "127.0.0.1:0", "-demo", "-guard"}},
		{"quickstart", "quickstart", []string{"-page"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), tt.program)
			build := exec.Command("go", "build", "-o", program, "./examples/"+tt.program)
			build.Dir = filepath.Join("..", "..", "..")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			cmd := exec.Command(program, tt.args...)
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { // after the tab has been closed
				_ = cmd.Process.Kill()
				_ = cmd.Wait() // killed
			})
			said := regexp.MustCompile(`(?:see it live at|open) (http://\S+)`)
			url := ""
			for lines := bufio.NewScanner(out); url == "" && lines.Scan(); {
				if m := said.FindStringSubmatch(lines.Text()); m != nil {
					url = m[1]
				}
			}
			tb := open(t, url, desktop)
			valid := alice + `?.querySelectorAll("[data-state=valid]").length >= 1`
			tb.until("alice has a valid token", valid)
			tb.click("[data-user=alice] [data-do=revoke]")
			tb.until("its bar ends", alice+`.querySelectorAll("[data-state=revoked]").length >= 1`)
			tb.until("the next token comes", valid)
			tb.until("requests are sent again", alice+`.querySelector(".mark.replayed").getAttribute("d") !== ""`)
			tb.until("the verdict is good", `document.querySelector("#verdict").className === "verdict ok"`)
		})
	}
}
