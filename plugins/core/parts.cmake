# Which parts are built, and where their headers are: DETFORGE_ORT, DETFORGE_CUDA and DETFORGE_TENSORRT are AUTO (when
# what they need is found), ON (an error when it is not) or OFF. Sets ORT_INCLUDE_DIR, CMAKE_CUDA_COMPILER and
# TENSORRT_INCLUDE_DIR for those that are.
#
# ORT_INCLUDE_DIR and TENSORRT_ROOT, CMake or environment variables, say where the headers are. With
# DETFORGE_FETCH_HEADERS=ON those that are not found are downloaded, each with its hash checked.
include(${CMAKE_CURRENT_LIST_DIR}/fetch_headers.cmake)

foreach(part ORT CUDA TENSORRT)
    set(DETFORGE_${part} AUTO CACHE STRING "AUTO, ON or OFF")
    set_property(CACHE DETFORGE_${part} PROPERTY STRINGS AUTO ON OFF)
endforeach()
option(DETFORGE_FETCH_HEADERS "Download the headers that are not found" OFF)

# report(PART BUILT REASON): one clear line for each part; an error if the part was asked for and cannot be built.
function(report part built reason)
    if(built)
        message(STATUS "detforge: ${part} is built (${reason})")
    elseif(DETFORGE_${part} STREQUAL "ON")
        message(FATAL_ERROR "detforge: ${part} was asked for and cannot be built: ${reason}")
    else()
        message(STATUS "detforge: ${part} is left out: ${reason}")
    endif()
endfunction()

# find_headers(PART VARIABLE HEADER HINT): VARIABLE becomes the folder of HEADER, found with HINT or downloaded.
macro(find_headers part variable header hint)
    find_path(${variable} ${header} HINTS ${${hint}} ENV ${hint}
        PATH_SUFFIXES include onnxruntime onnxruntime/core/session DOC "The folder of ${header}")
    if(NOT ${variable} AND DETFORGE_FETCH_HEADERS)
        string(TOLOWER ${part} name)
        fetch_headers(${CMAKE_CURRENT_LIST_DIR}/${name}_headers.txt ${CMAKE_BINARY_DIR}/${name}_headers)
        set(${variable} ${CMAKE_BINARY_DIR}/${name}_headers)
    endif()
    if(${variable})
        report(${part} ON "headers in ${${variable}}")
    else()
        report(${part} OFF "no ${header}; set ${hint}, or DETFORGE_FETCH_HEADERS=ON")
    endif()
endmacro()

if(DETFORGE_ORT)
    find_headers(ORT ORT_INCLUDE_DIR onnxruntime_cxx_api.h ORT_INCLUDE_DIR)
else()
    unset(ORT_INCLUDE_DIR CACHE)
    report(ORT OFF "DETFORGE_ORT is off")
endif()

if(DETFORGE_CUDA)
    include(CheckLanguage)
    check_language(CUDA)
    if(CMAKE_CUDA_COMPILER)
        if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
            set(CMAKE_CUDA_ARCHITECTURES 75 80 86 89 90 100 120)
        endif()
        enable_language(CUDA)
        report(CUDA ON "${CMAKE_CUDA_COMPILER}, architectures ${CMAKE_CUDA_ARCHITECTURES}")
    else()
        report(CUDA OFF "no nvcc; set CMAKE_CUDA_COMPILER")
    endif()
else()
    report(CUDA OFF "DETFORGE_CUDA is off")
endif()

if(NOT DETFORGE_TENSORRT)
    report(TENSORRT OFF "DETFORGE_TENSORRT is off")
elseif(NOT CMAKE_CUDA_COMPILER)
    report(TENSORRT OFF "it needs CUDA")
else()
    find_headers(TENSORRT TENSORRT_INCLUDE_DIR NvInferRuntime.h TENSORRT_ROOT)
endif()
