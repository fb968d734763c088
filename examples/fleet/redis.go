package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// keeperVariable is the environment variable that makes a keeper of this program, and holds the
// folder that it looks after.
const keeperVariable = "FLEET_KEEPER"

// A redisFolder is where our own servers keep their logs and process ids. They have no disk
// otherwise.
//
// They are daemons, which spares them the terminal's Ctrl-C: they are there until the workers have
// gone. A keeper, a process of this program, ends them when the fleet ends, however that may be.
type redisFolder struct {
	dir, program, password string
	keeper                 *exec.Cmd
	alive                  io.Closer // the keeper acts when this is closed, as the system does for the dead
}

func newRedisFolder() (*redisFolder, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.New("there is no redis-server on this machine: install it first (on Debian and Ubuntu: apt-get install redis-server)")
	}
	dir, err := os.MkdirTemp("", "fleet-redis-")
	if err != nil {
		return nil, err
	}
	d := &redisFolder{dir: dir, program: program, password: rand.Text()}
	self, err := os.Executable()
	if err == nil {
		d.keeper = exec.Command(self)
		d.keeper.Env = append(os.Environ(), keeperVariable+"="+dir)
		d.alive, err = d.keeper.StdinPipe()
	}
	var ready io.Reader
	if err == nil {
		ready, err = d.keeper.StdoutPipe()
	}
	if err == nil {
		err = d.keeper.Start()
	}
	if err == nil {
		_, err = ready.Read(make([]byte, 1)) // from now on it outlives the fleet
	}
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return d, nil
}

// stop ends all servers.
func (d *redisFolder) stop() {
	d.alive.Close()
	_ = d.keeper.Wait() // whatever it comes to, there is nothing left to do
}

// keep is a keeper's whole life. It returns the exit status.
func keep(dir string, stdin io.Reader, stdout io.Writer) int {
	signal.Ignore(endSignals...)
	fmt.Fprintln(stdout, "ready")
	_, _ = io.Copy(io.Discard, stdin)
	files, _ := filepath.Glob(filepath.Join(dir, "*.pid"))
	for _, file := range files {
		if pid, err := readPID(file); err == nil {
			kill(pid)
		}
	}
	os.RemoveAll(dir)
	return 0
}

func readPID(file string) (int, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

func kill(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Kill()
	}
}

// A redisServer is one of our own servers, or a Sentinel.
type redisServer struct {
	folder *redisFolder
	name   string
	addr   string
}

// start starts a server on a free port of this machine, with more configuration.
func (d *redisFolder) start(ctx context.Context, name, config string, args ...string) (r *redisServer, err error) {
	for range 3 { // another may take the port in between
		l, lerr := net.Listen("tcp", "127.0.0.1:0")
		if lerr != nil {
			return nil, lerr
		}
		r = &redisServer{folder: d, name: name, addr: l.Addr().String()}
		l.Close()
		if err = r.start(ctx, config, args...); err == nil {
			return r, nil
		}
	}
	return nil, err
}

// start starts the server, or starts it again after kill. args are for the command line.
func (r *redisServer) start(ctx context.Context, config string, args ...string) error {
	host, port, _ := net.SplitHostPort(r.addr)
	log := r.file("log")
	text := fmt.Sprintf("daemonize yes\nbind %s\nport %s\nrequirepass %s\ndir %q\nlogfile %q\npidfile %q\n%s\n",
		host, port, r.folder.password, r.folder.dir, log, r.file("pid"), config)
	if err := os.WriteFile(r.file("conf"), []byte(text), 0o600); err != nil { // a Sentinel writes into its own
		return err
	}
	cmd := exec.CommandContext(ctx, r.folder.program, append([]string{r.file("conf")}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("redis-server: %w: %s", err, out)
	}
	client := r.client()
	defer client.Close()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		// The password makes sure that it is ours that answers.
		err := client.Ping(ctx).Err()
		if err == nil || ctx.Err() != nil {
			return err
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(log)
			return fmt.Errorf("redis-server does not answer: %w: %s", err, said)
		}
	}
}

func (r *redisServer) file(extension string) string {
	return filepath.Join(r.folder.dir, r.name+"."+extension)
}

// kill ends the server as a power failure would.
func (r *redisServer) kill() {
	if pid, err := readPID(r.file("pid")); err == nil {
		os.Remove(r.file("pid"))
		kill(pid)
	}
}

// client returns a client of this server.
func (r *redisServer) client() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: r.addr, Password: r.folder.password, MaxRetries: -1})
}
