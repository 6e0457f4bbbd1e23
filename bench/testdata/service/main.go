// Service is what the benchmark builds: a service of the size that many teams have, with more than a hundred modules behind it.
package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"example.com/service/internal/api"
	"example.com/service/internal/cloud"
	"example.com/service/internal/config"
	"example.com/service/internal/queue"
	"example.com/service/internal/store"
	"example.com/service/internal/telemetry"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := &cobra.Command{
		Use: "service", SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context()) },
	}
	if err := root.ExecuteContext(ctx); err != nil {
		os.Exit(1)
	}
}

func serve(ctx context.Context) error {
	settings, err := config.Load()
	if err != nil {
		return err
	}
	log, err := zap.NewProduction()
	if err != nil {
		return err
	}
	end, err := telemetry.Start(ctx, settings)
	if err != nil {
		return err
	}
	defer end(context.WithoutCancel(ctx))
	backends := api.Backends{Store: store.Open(settings), Queue: queue.Open(settings), Cloud: cloud.Open(settings)}
	server := &http.Server{Addr: settings.Listen, Handler: api.New(log, backends), ReadHeaderTimeout: 5 * time.Second}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(server.ListenAndServe)
	group.Go(func() error {
		<-ctx.Done()
		return server.Shutdown(context.WithoutCancel(ctx))
	})
	if err := group.Wait(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
