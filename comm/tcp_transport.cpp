#include "comm/tcp_transport.h"

#include <pthread.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <thread>
#include <utility>

#include "comm/tcp_communicator.h"
#include "comm/tcp_engine.h"
#include "runtime/error.h"

namespace cadre::comm {
namespace {

class Served final : public TcpTransport {
 public:
  explicit Served(TcpOptions options)
      : engine_(std::make_shared<TcpEngine>(std::move(options))), work_(engine_->io().get_executor()) {
    boost::asio::post(engine_->io(), [engine = engine_.get()] { engine->listen(); });
    thread_ = std::thread([engine = engine_.get()] { serve(*engine); });
  }

  ~Served() override {
    boost::asio::post(engine_->io(), [engine = engine_.get()] {
      engine->close("the transport was closed");
      engine->io().stop();
    });
    thread_.join();
  }

  std::vector<runtime::Endpoint> endpoints() const override { return engine_->endpoints(); }

  std::unique_ptr<Communicator> communicator(const runtime::View& view, runtime::Rank self) override {
    const std::optional<std::size_t> index = view.index_of(self);
    CADRE_CHECK(index.has_value(), "rank ", self, " is not in view ", view.stamp.view);
    CADRE_CHECK(view.stamp > last_, "view ", view.stamp.view, " after view ", last_.view);
    last_ = view.stamp;
    return make_tcp_communicator(engine_, view, *index);
  }

  TcpCounters counters() const override {
    std::promise<TcpCounters> counters;
    boost::asio::post(engine_->io(), [&] { counters.set_value(engine_->counters()); });
    return counters.get_future().get();
  }

 private:
  // The thread "transport I/O". What goes wrong in it is the communicator's failure, not the process's end.
  static void serve(TcpEngine& engine) {
    ::pthread_setname_np(::pthread_self(), "transport I/O");
    for (;;) {
      try {
        engine.io().run();
        return;
      } catch (const std::exception& error) {
        engine.fail(-1, runtime::say("transport I/O: ", error.what()));
      }
    }
  }

  std::shared_ptr<TcpEngine> engine_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::thread thread_;
  runtime::Stamp last_ = {};
};

}  // namespace

std::unique_ptr<TcpTransport> make_tcp_transport(TcpOptions options) {
  CADRE_CHECK(!options.token.empty(), "no token");
  return std::make_unique<Served>(std::move(options));
}

}  // namespace cadre::comm
