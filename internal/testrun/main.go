// Command testrun runs `go test` with its arguments, and tells meanwhile how far it is: packages and tests that have ended,
// how long that took, and how long the rest may take. The result lines are those of `go test`, and so is the exit code.
//
// It is started by `make test`: go run ./internal/testrun [flags of go test] packages.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

// every is how often a line says how far it is, while nothing else is printed.
const every = 15 * time.Second

func main() {
	args := os.Args[1:]
	count, err := countTests(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testrun: cannot count the tests:", err) // there is no estimate then
	}
	code, err := run(args, newReport(os.Stdout, slices.Contains(args, "-v"), count, time.Now))
	if err != nil {
		fmt.Fprintln(os.Stderr, "testrun:", err)
	}
	os.Exit(code)
}

// run runs go test, and returns its exit code. An interrupt reaches go test by itself; its end is waited for.
func run(args []string, report *report) (int, error) {
	signal.Notify(make(chan os.Signal, 1), os.Interrupt, syscall.SIGTERM)
	command := exec.Command("go", append([]string{"test", "-json"}, args...)...) //nolint:gosec,noctx // what make test asks for
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		return 1, err
	}
	if err := command.Start(); err != nil {
		return 1, fmt.Errorf("run go test: %w", err)
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	lines := read(out)
	for lines != nil {
		select {
		case line, more := <-lines:
			if !more {
				lines = nil
				break
			}
			report.add(line)
		case <-ticker.C:
			report.progress()
		}
	}
	report.end()
	err = command.Wait()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		return max(failed.ExitCode(), 1), nil
	}
	return 0, err
}
