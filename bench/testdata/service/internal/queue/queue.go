// Package queue sends events to the brokers that are set.
package queue

import (
	"context"

	"github.com/cenkalti/backoff/v5"
	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats.go"
	amqp "github.com/rabbitmq/amqp091-go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"example.com/service/internal/config"
)

// Queue sends events.
type Queue struct{ settings config.Settings }

// Open returns the queue of the settings; it connects when it is used.
func Open(s config.Settings) *Queue { return &Queue{settings: s} }

// Send sends one event to all that is set.
func (q *Queue) Send(ctx context.Context, text string) error {
	data, err := proto.Marshal(wrapperspb.String(text))
	if err != nil {
		return err
	}
	_, err = backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, q.nats(data) })
	return err
}

func (q *Queue) nats(data []byte) error {
	if q.settings.NATS == "" {
		return nil
	}
	conn, err := nats.Connect(q.settings.NATS)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Publish("events", data)
}

// Bridge connects brokers of other kinds.
func (q *Queue) Bridge(url string) error {
	conn, err := amqp.Dial(url)
	if err != nil {
		return err
	}
	defer conn.Close()
	return mqtt.NewClient(mqtt.NewClientOptions().AddBroker(url)).Connect().Error()
}
