package testserver

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"path"
	"strings"
)

// maxUpload is how large a file may be, in bytes; the comment of Server names it.
const maxUpload = 16 << 20

// bodyLimit returns how much of the request's body the server reads.
func (c *call) bodyLimit() int64 {
	if strings.HasPrefix(c.r.URL.Path, "/api/v2/uploads/") {
		return maxUpload + maxBody // and the frame of a file
	}
	return maxBody
}

// An upload is a file that a client has stored.
type upload struct {
	user, kind  string // kind is file or image
	contentType string
	content     []byte
}

// uploadFile and uploadImage store a file in memory, and answer with the address under which this
// server hands it out again: to anyone who knows it, as a content delivery network does.
func (s *Server) uploadFile(c *call) (object, *failure)  { return s.upload(c, "file") }
func (s *Server) uploadImage(c *call) (object, *failure) { return s.upload(c, "image") }

func (s *Server) upload(c *call, kind string) (object, *failure) {
	parts, name, f := c.parts()
	if f != nil {
		return nil, f
	}
	var who acting
	var sizes []map[string]any
	if raw := parts["user"]; len(raw) > 0 && json.Unmarshal(raw, &who.User) != nil {
		return nil, badInput("user is not the JSON of a user")
	}
	if raw := parts["upload_sizes"]; len(raw) > 0 && json.Unmarshal(raw, &sizes) != nil {
		return nil, badInput("upload_sizes is not the JSON of a list of sizes")
	}
	user, f := c.actor(who)
	if f != nil {
		return nil, f
	}
	content := parts["file"]
	detected := http.DetectContentType(content)
	switch {
	case len(content) == 0:
		return nil, badInput("file is missing or empty")
	case len(content) > maxUpload:
		return nil, &failure{status: http.StatusRequestEntityTooLarge, code: codeInput, inner: fmt.Sprintf("the file is larger than %d bytes", maxUpload)}
	case kind == "image" && !strings.HasPrefix(detected, "image/"):
		return nil, badInput("the file is no image but %s", detected)
	}
	id := newUUID() + "/" + name
	s.uploads.Put(id, &upload{user, kind, detected, content}, len(id)+len(content))
	s.recordEffect(c)
	scheme := "http"
	if c.r.TLS != nil {
		scheme = "https"
	}
	url := scheme + "://" + c.r.Host + uploadPath + id
	ans := object{"file": url}
	if kind == "image" {
		ans["thumb_url"] = url
		if sizes != nil {
			ans["upload_sizes"] = sizes
		}
	}
	return ans, nil
}

// parts reads a multipart body: its fields, and the name of its file.
func (c *call) parts() (parts map[string][]byte, name string, f *failure) {
	kind, params, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		return nil, "", badInput("an upload must be multipart/form-data")
	}
	broken := badInput("the request body is not valid multipart/form-data")
	r := multipart.NewReader(strings.NewReader(string(c.body)), params["boundary"])
	parts = make(map[string][]byte)
	for {
		p, err := r.NextPart()
		if err == io.EOF {
			return parts, name, nil
		}
		if err != nil {
			return nil, "", broken
		}
		content, err := io.ReadAll(p) // bounded: the body was read already
		if err != nil {
			return nil, "", broken
		}
		parts[p.FormName()] = content
		if p.FormName() == "file" {
			name = strings.Map(fileName, path.Base("/"+p.FileName()))
		}
	}
}

// fileName leaves of a file's name what can stand in a URL as it is.
func fileName(r rune) rune {
	if r == '.' || r == '-' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
		return r
	}
	return '_'
}

// uploadPath is where uploads are handed out: a path of this server's own, and none of the API's.
const uploadPath = "/uploads/"

// serveUpload hands out a file. It asks for neither an API key nor a token.
func (s *Server) serveUpload(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	u, ok := s.uploads.Get(strings.TrimPrefix(r.URL.Path, uploadPath))
	s.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", u.contentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(u.content) // an error means that the client has gone
}

// deleteUpload makes the operation that forgets a file or an image, whose address stands in the
// query.
func (s *Server) deleteUpload(kind string) func(*call) (object, *failure) {
	return func(c *call) (object, *failure) {
		url := c.r.URL.Query().Get("url")
		_, id, _ := strings.Cut(url, uploadPath)
		u, ok := s.uploads.Get(id)
		if !ok || u.kind != kind {
			return nil, notFound("there is no such %s", kind)
		}
		if f := c.owns(u.user, "this "+kind); f != nil {
			return nil, f
		}
		s.uploads.Remove(id)
		s.recordEffect(c)
		return object{}, nil
	}
}
