package testserver_test

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/stayauth/stayauth/testserver"
)

// upload sends a file the way all of Stream's clients do. fields come with it.
func (c caller) upload(kind, name, content string, fields map[string]string) answer {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for name, value := range fields {
		_ = w.WriteField(name, value)
	}
	if name != "" {
		part, _ := w.CreateFormFile("file", name)
		_, _ = io.WriteString(part, content)
	}
	_ = w.Close()
	req, err := http.NewRequest("POST", "http://api.test/api/v2/uploads/"+kind, &b)
	if err != nil {
		return answer{err: err}
	}
	req.Header.Set("Content-Type", w.FormDataContentType())
	return c.send(req)
}

const png = "\x89PNG\r\n\x1a\n and so on"

func TestUploads(t *testing.T) {
	srv := &testserver.Server{}
	bubble(t, srv, func(t *testing.T) {
		alice, bob := caller{rt: srv, token: srv.Issue("alice")}, caller{rt: srv, token: srv.Issue("bob")}
		server := caller{rt: srv, token: srv.ServerToken()}
		get := func(url string) (int, string, string) {
			req, err := http.NewRequest("GET", url, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := srv.RoundTrip(req) // with neither key nor token
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			return resp.StatusCode, resp.Header.Get("Content-Type"), string(body)
		}
		big := strings.Repeat("x", 16<<20)
		for _, tt := range []struct{ kind, name, content, contentType, end string }{
			{"file", "notes.txt", "hello", "text/plain; charset=utf-8", "/notes.txt"},
			{"file", "../a b/ü?.bin", big, "text/plain; charset=utf-8", "/__.bin"},
			{"image", "dot.png", png, "image/png", "/dot.png"},
			{"image", "named.txt", png, "image/png", "/named.txt"}, // it is what it holds
		} {
			a := alice.upload(tt.kind, tt.name, tt.content, map[string]string{"user": `{"id":"alice"}`})
			wantStatus(t, a, 201)
			url := a.text("file")
			if !strings.HasPrefix(url, "http://api.test/uploads/") || !strings.HasSuffix(url, tt.end) || (a.text("thumb_url") == url) != (tt.kind == "image") {
				t.Errorf("%s is answered with %v", tt.name, a.body)
			}
			if status, kind, content := get(url); status != 200 || kind != tt.contentType || content != tt.content {
				t.Errorf("%s is handed out with status %d as %s, %d bytes", tt.name, status, kind, len(content))
			}
			wantCode(t, alice.do("DELETE", "/api/v2/uploads/"+map[string]string{"file": "image", "image": "file"}[tt.kind]+"?url="+url, ``), 404, 16)
			wantCode(t, bob.do("DELETE", "/api/v2/uploads/"+tt.kind+"?url="+url, ``), 403, 17)
			wantStatus(t, alice.do("DELETE", "/api/v2/uploads/"+tt.kind+"?url="+url, ``), 200)
			if status, _, _ := get(url); status != 404 {
				t.Errorf("a deleted file is handed out with status %d", status)
			}
			wantCode(t, alice.do("DELETE", "/api/v2/uploads/"+tt.kind+"?url="+url, ``), 404, 16)
		}
		a := server.upload("image", "dot.png", png, map[string]string{"user": `{"id":"bob"}`, "upload_sizes": `[{"width":10,"height":20,"crop":"top","resize":"fill"}]`})
		if sizes := a.body["upload_sizes"].([]any); len(sizes) != 1 || sizes[0].(map[string]any)["height"] != 20.0 {
			t.Errorf("sizes %v", a.body)
		}
		for _, tt := range []struct {
			by      caller
			kind    string
			content string
			fields  map[string]string
			status  int
		}{
			{alice, "file", "", nil, 400},
			{alice, "image", "no image", nil, 400},
			{alice, "file", "x", map[string]string{"user": `{"id":"bob"}`}, 403},
			{alice, "file", "x", map[string]string{"user": `alice`}, 400},
			{alice, "image", png, map[string]string{"upload_sizes": `10`}, 400},
			{server, "file", "x", nil, 400},
			{alice, "file", big + "x", nil, 413},
			{alice, "file", big + big, nil, 413},
		} {
			if a := tt.by.upload(tt.kind, "f", tt.content, tt.fields); a.status != tt.status {
				t.Errorf("%s of %d bytes with %v: status %d, %v; want %d", tt.kind, len(tt.content), tt.fields, a.status, a.body, tt.status)
			}
		}
		wantCode(t, alice.do("POST", "/api/v2/uploads/file", `{}`), 400, 4)
		req, _ := http.NewRequest("POST", "http://api.test/api/v2/uploads/file", strings.NewReader("--x\r\nbroken"))
		req.Header.Set("Content-Type", "multipart/form-data; boundary=x")
		wantCode(t, alice.send(req), 400, 4)
	})
}

// Of uploads no more than 64 MiB are kept.
func TestUploadsAreBounded(t *testing.T) {
	srv := &testserver.Server{}
	alice := caller{rt: direct{srv}, token: srv.Issue("alice")}
	var urls []string
	for i := range 5 {
		a := alice.upload("file", fmt.Sprint(i), strings.Repeat("x", 15<<20), nil)
		wantStatus(t, a, 201)
		urls = append(urls, a.text("file"))
	}
	for i, want := range map[int]int{0: 404, 1: 200, 4: 200} {
		if a := alice.do("DELETE", "/api/v2/uploads/file?url="+urls[i], ``); a.status != want {
			t.Errorf("upload %d: status %d, want %d", i, a.status, want)
		}
	}
}
