#include "trt_logger.h"

#include <cxxabi.h>

#include <atomic>
#include <cstdio>
#include <typeinfo>

#include "trt_api.h"

namespace detforge {
namespace {

namespace trt = nvinfer1;

std::atomic<void*> given{nullptr};

// The run-time type of an object of unknown class; null where its library was built without run-time types.
const std::type_info* type_of(const void* object) {
    const void* const* const table = *static_cast<const void* const* const*>(object);
    return static_cast<const std::type_info*>(table[-1]);
}

// Whether an object is of a class that derives from Base, and from no other class beside.
template <class Base>
bool derives_from(const void* object) {
    const std::type_info* type = type_of(object);
    while (type != nullptr && *type != typeid(Base)) {
        const auto* const derived = dynamic_cast<const abi::__si_class_type_info*>(type);
        type = derived == nullptr ? nullptr : derived->__base_type;
    }
    return type != nullptr;
}

// Logs with a finder that may be of this class.
template <class Finder, class Logger>
bool logs(void* finder, const char* message) {
    if (!derives_from<Finder>(finder)) return false;
    Logger* const logger = static_cast<Finder*>(finder)->findLogger();
    if (logger == nullptr) return false;
    logger->log(Logger::Severity::kERROR, message);
    return true;
}

}  // namespace

void log_with(void* finder) { given = finder; }

void log_error(const char* message) noexcept {
    void* const finder = given;
    const bool logged = finder != nullptr && (logs<trt::v_1_0::ILoggerFinder, trt::v_1_0::ILogger>(finder, message) ||
                                              logs<trt::ILoggerFinder, trt::ILogger>(finder, message));
    if (!logged) std::fprintf(stderr, "%s\n", message);
}

}  // namespace detforge
