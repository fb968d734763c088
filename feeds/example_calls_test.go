package feeds_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"mime/multipart"
	"net/http"
	"strings"
	"time"

	"github.com/stayauth/stayauth/feeds"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
)

// A guest needs neither an account nor a backend, and keeps its id when its token is replaced.
func ExampleClient_ConnectGuest() {
	api := &testserver.Server{} // in place of Stream
	defer api.Close()
	client := &feeds.Client{Key: testserver.DefaultKey, BaseURL: "https://stream.test", Base: api}

	ctx := context.Background()
	session, err := client.ConnectGuest(ctx, feeds.User{ID: "visitor"})
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	guest := session.User().ID // such as guest-4d1b0aa5-3e58-4b52-9d8c-2b3d9f6b8f0e-visitor

	api.Revoke(guest) // nothing to worry about
	added, err := session.AddActivity(ctx, &feeds.AddActivityRequest{Type: "post", Feeds: []string{"user:visitors"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("still the same:", added.Activity.User.ID == guest)
	// Output:
	// still the same: true
}

// A program that only reads what is public needs no token.
func ExampleClient_ConnectAnonymous() {
	api := &testserver.Server{}
	defer api.Close()
	client := &feeds.Client{Key: testserver.DefaultKey, BaseURL: "https://stream.test", Base: api}

	ctx := context.Background()
	session, err := client.ConnectAnonymous(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()

	page, err := session.QueryActivities(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(page.Activities), "activities")

	_, err = session.AddActivity(ctx, &feeds.AddActivityRequest{Type: "post", Feeds: []string{"user:nobody"}})
	if e, ok := errors.AsType[*feeds.Error](err); ok {
		fmt.Println("not allowed:", e.Code == feeds.CodeNotAllowed)
	}
	// Output:
	// 0 activities
	// not allowed: true
}

// A backend acts for its users.
func ExampleClient_ConnectServer() {
	api := &testserver.Server{}
	defer api.Close()
	client, err := feeds.NewClient(testserver.DefaultKey, testserver.DefaultSecret)
	if err != nil {
		log.Fatal(err)
	}
	client.BaseURL, client.Base = "https://stream.test", api // leave them out for Stream itself

	ctx := context.Background()
	backend, err := client.ConnectServer(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer backend.Close()
	for _, user := range []string{"alice", "bob"} {
		_, err := backend.AddActivity(ctx, &feeds.AddActivityRequest{
			UserID: user, Type: "welcome", Feeds: []string{"user:" + user}, Text: "Welcome, " + user,
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	oldestFirst := []feeds.SortParam{{Field: "created_at", Direction: 1}}
	for activity, err := range backend.Activities(ctx, &feeds.QueryActivitiesRequest{Sort: oldestFirst}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(activity.Text)
	}
	// Output:
	// Welcome, alice
	// Welcome, bob
}

// All activities of a feed, however many pages that takes.
func ExampleSession_FeedActivities() {
	api := &testserver.Server{}
	defer api.Close()
	client := &feeds.Client{Key: testserver.DefaultKey, BaseURL: "https://stream.test", Base: api}

	ctx := context.Background()
	session, err := client.ConnectUser(ctx, feeds.User{ID: "alice"}, provider.Static(api.Issue("alice")))
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	for i := range 250 {
		_, err := session.AddActivity(ctx, &feeds.AddActivityRequest{Type: "post", Feeds: []string{"user:alice"}, Text: fmt.Sprint("post ", i)})
		if err != nil {
			log.Fatal(err)
		}
	}

	n := 0
	for activity, err := range session.FeedActivities(ctx, "user", "alice", &feeds.GetOrCreateFeedRequest{Limit: 100}) {
		if err != nil {
			log.Fatal(err)
		}
		if n++; n <= 2 {
			fmt.Println(activity.Text)
		}
	}
	fmt.Println(n, "in all")
	// Output:
	// post 249
	// post 248
	// 250 in all
}

// A call that this package has no method for: the upload of a file.
func ExampleSession_HTTPClient() {
	client := &feeds.Client{Key: "key", BaseURL: "https://stream.test", Base: fileAPI{}}
	ctx := context.Background()
	session, err := client.ConnectUser(ctx, feeds.User{ID: "alice"}, provider.Static(provider.DevToken("alice")))
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()

	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", "cat.png")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprint(part, "meow")
	form.Close()

	resp, err := session.HTTPClient().Post("/api/v2/uploads/file", form.FormDataContentType(), &body)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.StatusCode)
	// Output:
	// 201
}

// fileAPI takes a file.
type fileAPI struct{}

func (fileAPI) RoundTrip(req *http.Request) (*http.Response, error) {
	resp := &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}")), Request: req}
	if req.URL.Path == "/api/v2/uploads/file" {
		if _, file, err := req.FormFile("file"); err == nil && file.Size == 4 && req.URL.Query().Get("api_key") == "key" {
			resp.StatusCode = 201
		}
	}
	return resp, nil
}

// What a call's error says, and what to do about each kind.
func ExampleError() {
	api := &testserver.Server{}
	defer api.Close()
	client := &feeds.Client{Key: testserver.DefaultKey, BaseURL: "https://stream.test", Base: api}
	ctx := context.Background()
	session, err := client.ConnectUser(ctx, feeds.User{ID: "alice"}, provider.Static(api.Issue("alice")))
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()

	_, err = session.GetActivity(ctx, "nowhere", nil)
	refusal, ok := errors.AsType[*feeds.Error](err)
	switch {
	case feeds.IsSessionOver(err):
		fmt.Println("log in again")
	case ok && refusal.Code == feeds.CodeNotFound:
		fmt.Println("there is no such activity")
	case ok && refusal.Code == feeds.CodeRateLimited:
		fmt.Println("come back at", refusal.RetryAt)
	case ok:
		fmt.Println("failed:", refusal)
	case err != nil:
		fmt.Println("no answer:", err)
	}
	// Output:
	// there is no such activity
}

// Revoking what a user has, and taking it back.
func ExampleClient_RevokeUserToken() {
	api := &testserver.Server{}
	defer api.Close()
	client, err := feeds.NewClient(testserver.DefaultKey, testserver.DefaultSecret)
	if err != nil {
		log.Fatal(err)
	}
	client.BaseURL, client.Base = "https://stream.test", api // leave them out for Stream itself
	ctx := context.Background()
	token, err := client.CreateToken("alice")
	if err != nil {
		log.Fatal(err)
	}
	try := func() {
		session, err := client.ConnectUser(ctx, feeds.User{ID: "alice"}, provider.Static(token))
		if err != nil {
			fmt.Println("revoked:", strings.Contains(err.Error(), "This token has been revoked"))
			return
		}
		session.Close()
		fmt.Println("good")
	}

	try()
	inAMinute := time.Now().Add(time.Minute)
	if err := client.RevokeUserToken(ctx, "alice", &inAMinute); err != nil {
		log.Fatal(err)
	}
	try()
	if err := client.RevokeUserToken(ctx, "alice", nil); err != nil {
		log.Fatal(err)
	}
	try()
	// Output:
	// good
	// revoked: true
	// good
}
