package redisstore_test

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/redisstore"
	"github.com/stayauth/stayauth/provider/shared"
)

func ExampleStore() {
	client := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{"redis.internal:6379"}})
	defer client.Close()
	backend := provider.Func(func(context.Context) (string, error) { return "a token from your backend", nil })
	login := &shared.Login{
		Provider:     backend,
		Store:        &redisstore.Store{Client: client, Prefix: "logins:"},
		Key:          "bot-7",
		WaitForLogin: true, // the fleet outlives a login
	}
	fmt.Println(login.Key) // give login to a transport
	// Output: bot-7
}
