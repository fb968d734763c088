package keychain_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/filestore"
	"github.com/stayauth/stayauth/provider/keychain"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

// A login in files that no one can read without the keychain.
func ExampleStore() {
	backend := provider.Func(func(context.Context) (string, error) { return "a token from your backend", nil })
	login := &shared.Login{
		Provider: backend,
		Store:    &keychain.Store{Store: &filestore.Store{App: "mytool"}, App: "mytool"},
		Key:      "alice",
	}
	fmt.Println(login.Key) // give login to a transport
	// Output: alice
}

// A login command, on a machine to which the files were copied from another: their key has stayed
// behind.
func ExampleStore_Discard() {
	ctx := context.Background()
	files := &storetest.Memory{}
	logIn := func(machine keychain.Keychain) error {
		store := &keychain.Store{Store: files, App: "mytool", Keychain: machine} // Keychain: nil is the system's
		login := &shared.Login{Provider: provider.Func(nil), Store: store, Key: "alice"}
		token := provider.Token{}.WithRefreshToken("from the browser")
		err := login.Login(ctx, token)
		if errors.Is(err, keychain.ErrKeyLost) {
			fmt.Println("the old login can't be opened any more")
			if err := store.Discard(ctx, "alice"); err != nil {
				return err
			}
			err = login.Login(ctx, token)
		}
		return err
	}
	fmt.Println(logIn(new(fake)))
	fmt.Println(logIn(new(fake)))
	// Output:
	// <nil>
	// the old login can't be opened any more
	// <nil>
}
