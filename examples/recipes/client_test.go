package recipes_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

const api = "https://api.example.com"

// get returns the status and the body of a GET, or an error where there is no answer.
func get(t *testing.T, client *http.Client) string {
	t.Helper()
	return answer(client.Get(api + "/me"))
}

func answer(resp *http.Response, err error) string {
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return resp.Status + " " + strings.TrimSpace(string(body))
}

// want compares what came with what should have.
func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
